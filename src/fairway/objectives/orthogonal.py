"""An adversary whose generator owes weights at right angles (Brock, Donahue and Simonyan 2019, eq. 3).

    min_g  E[generator(d(fake))] + beta sum over layers |W W^T * (1 - I)|_F^2,        W (outputs, inputs * k * k)

The rows of W are held apart, at whatever length. Such a generator is smooth enough to be given latents of a kind that
it has not seen: short ones, all within a threshold, whose draws are better and less varied (`samplers.truncation`). The
critic owes nothing.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from fairway.core.objective import Batch
from fairway.objectives.adversarial import Adversarial, Shown


class Orthogonal(Adversarial):
    """A hinge loss, two critic moves a step, and a cost of the angles between the generator's weights.

    Args:
        divergence, penalty, critic_steps, critic_hidden, monitor: see `Adversarial`.
        beta: weight of that cost; 0 for none.
    """

    def __init__(
        self,
        divergence: str = "hinge",
        penalty: str = "none",
        beta: float = 1e-4,
        critic_steps: int = 2,
        critic_hidden: Sequence[int] | None = None,
        monitor: str | None = None,
    ) -> None:
        super().__init__(
            divergence,
            penalty,
            critic_steps=critic_steps,
            critic_hidden=critic_hidden,
            monitor=monitor,
        )
        self.beta = beta

    def owed(self, batch: Batch, model: Any, fake: Shown) -> dict[str, Tensor]:
        weights = [p for p in model.parameters() if p.ndim > 1]
        return {"orthogonal": self.beta * torch.stack([off_diagonal(weight) for weight in weights]).sum()}


def off_diagonal(weight: Tensor) -> Tensor:
    """|W W^T * (1 - I)|_F^2 of W (outputs, ...), each output's weights a row.

    |W W^T|_F = |W^T W|_F, so that the smaller of the two is made, however many outputs there are.

    >>> off_diagonal(torch.tensor([[3.0, 0.0], [0.0, 2.0]])), off_diagonal(torch.ones(3, 2))
    (tensor(0.), tensor(24.))
    """
    rows = weight.flatten(1)
    with torch.autocast(weight.device.type, enabled=False):  # a small difference of large sums
        products = rows.T @ rows if len(rows) > rows.shape[1] else rows @ rows.T
    return products.square().sum() - rows.square().sum(1).square().sum()
