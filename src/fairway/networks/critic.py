"""A critic for vectors: one logit for a row and its context, by a perceptron on both.

    d(u, c) = W_L act(... act(W_1 [u, c] + b_1)) + b_L          u (B, *U), c (B, ...) or none, d (B,)

What stands in the last bracket, `features`, is what the critic sees of a row (see `objectives.feature_matching`).
"""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from fairway.core.config import Configurable
from fairway.networks.joined import joined
from fairway.networks.mlp import MLP
from fairway.networks.piecewise import value_and_slope


class MLPCritic(Configurable, nn.Module):
    """(u, context) -> (B,): an MLP on the flattened row and its context.

    Args:
        inputs: entries of a row and its context together.
        hidden: widths.
        act: name of the activation.

    >>> import torch
    >>> MLPCritic(5, (8,))(torch.zeros(4, 3), torch.zeros(4, 2)).shape
    torch.Size([4])
    """

    role: ClassVar[str] = "network"

    def __init__(self, inputs: int, hidden: Sequence[int] = (128, 128, 128), act: str = "leaky_relu") -> None:
        super().__init__()
        self.network = MLP(inputs, 1, hidden, act=act)

    def features(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, the last of `hidden`): what the critic made of a row and its context."""
        out: Tensor = self.network.layers[:-1](joined(u, context))
        return out

    def value_and_slope(self, u: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor] | None:
        """d (B,) and its gradient in u (B, *U), differentiable in the weights; None where it is not written out."""
        if self._forward_hooks or self._forward_pre_hooks:
            return None
        found = value_and_slope(self.network, joined(u, context))
        return None if found is None else (found[0], found[1][:, : u[0].numel()].reshape(u.shape))

    def forward(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        out: Tensor = self.network(joined(u, context)).squeeze(1)
        return out
