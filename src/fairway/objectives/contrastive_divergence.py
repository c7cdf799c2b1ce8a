"""Contrastive divergence: chains that start at the data and move k times.

    d C_k = E_data[d f(u)] - E_k[d f(u)],       u_k: k moves from a row of the batch under the present f

is the gradient of KL(data || p) - KL(p_k || p) up to a term that is small and left out (Hinton 2002, eq. 5; p_k: the
law after k moves). Near the data it is right at once and cheap; it is biased at every k, since chains that never leave
the data's surroundings cannot find mass that the model has elsewhere, and what they do not find is not taken away. As
k grows the bias falls with the chains' memory of their start. The loss is that of `energy_contrast`.
"""

from typing import Any

from torch import Tensor

from fairway.core.objective import Batch
from fairway.core.random import Rows
from fairway.objectives.energy_contrast import EnergyContrast, contexts_of
from fairway.samplers.driver import Run
from fairway.samplers.kernel import Kernel


class ContrastiveDivergence(EnergyContrast):
    """f up on data, down where k moves take the data.

    Args:
        steps: k.
        penalty, kernel, noise, jumps: as for `EnergyContrast`.
    """

    def __init__(
        self,
        steps: int = 10,
        penalty: float = 0.003,
        kernel: Kernel | None = None,
        noise: float = 0.0,
        jumps: int = 0,
    ) -> None:
        super().__init__(steps, penalty, kernel, noise, jumps)

    def _chains(self, batch: Batch, model: Any, rows: Rows) -> tuple[Run, Tensor]:
        contexts = contexts_of(batch)
        run = self._moved(batch, model, batch.u, contexts, rows)
        if hasattr(model, "_keep"):
            model._keep(batch.u[:0], contexts[:0], self.step_size)  # draws start at the reference
        return run, contexts
