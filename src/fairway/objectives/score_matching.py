"""Score matching with the trace in full: for a few dimensions, and as the oracle of the sliced one.

    J = E_u [tr(ds/du) + |s|^2 / 2],      s = grad log p;      E |s - grad log p_data|^2 / 2 = J + const

(Hyvaerinen 2005, theorem 1; the integration by parts asks that p_data s vanishes far out.) The trace takes a gradient
for every dimension, where `sliced_score_matching` takes one for all. log Z never enters.
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.random import Rows
from fairway.objectives.sliced_score_matching import Score, SlicedScoreMatching

MOST = 32  # dimensions


class ScoreMatching(SlicedScoreMatching):
    """Exact score matching, per entry; no argument, since nothing is left to chance.

    Raises:
        ValueError: a model of more than 32 dimensions.
    """

    def __init__(self) -> None:
        super().__init__()

    def setup(self, model: Any) -> None:
        super().setup(model)
        if model.model_event.dims > MOST:
            raise ValueError(
                f"expected at most {MOST} dimensions for a trace in full, got {model.model_event.dims}: "
                "take sliced_score_matching"
            )

    def _terms(self, score: Score, u: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        s = score(u).flatten(1)
        trace = torch.zeros_like(s[:, 0])
        for i in range(s.shape[1]):
            (slope,) = torch.autograd.grad(s[:, i].sum(), u, create_graph=True)
            trace = trace + slope.flatten(1)[:, i]
        return trace, s.square().sum(1) / 2
