"""A chain of couplings of vectors, and how entries are mixed between them: what NICE, RealNVP and NSF share.

    mixing = "shuffle"    two couplings, one for each colour of a checkerboard (the even entries of a vector), then two
                          under a random split, two under another, and so on
    mixing = "linear"     a learned matrix before every coupling but the first (NSF, section 4; Glow's idea for vectors)
    mixing = "halves"     the two halves take turns, nothing else

Conditioners are perceptrons whose last layer starts at zero: the chain starts as the mixing alone. A context joins
their inputs, and goes straight to their outputs by a linear map.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from fairway.core.random import generator_for
from fairway.models.flow.transforms.coupling import Coupling
from fairway.models.flow.transforms.linear import Linear
from fairway.models.flow.transforms.permutation import Permutation, checkerboard
from fairway.models.flow.transforms.transform import Transform
from fairway.models.flow.transforms.univariate import Univariate
from fairway.networks.mlp import MLP

MIXINGS = ("shuffle", "linear", "halves")


def coupling_chain(
    shape: tuple[int, ...],
    univariate: Univariate,
    transforms: int,
    conditioner: Callable[[int, int], nn.Module],
    mixing: str,
) -> list[Transform]:
    """Couplings of rows (B, D) with mixings between them.

    Args:
        shape: of an observation before it was flattened; D entries.
        univariate: the map of moved entries.
        transforms: number of couplings.
        conditioner: (kept, outputs) -> network.
        mixing: shuffle, linear or halves.

    Raises:
        ValueError: an unknown mixing, fewer than two entries.
    """
    if mixing not in MIXINGS:
        raise ValueError(f"expected a mixing among {', '.join(MIXINGS)}, got {mixing!r}")
    dims = torch.Size(shape).numel()
    if dims < 2:
        raise ValueError(f"a coupling needs an entry to keep and one to move: expected at least 2, got {dims}")
    links: list[Transform] = []
    for i in range(transforms):
        links += _mixed(shape, dims, i, mixing)
        kept, moved = Coupling.sizes(dims, swap := bool(i % 2))
        links.append(Coupling(dims, univariate, conditioner(kept, univariate.parameters * moved), swap))
    return links


def _mixed(shape: tuple[int, ...], dims: int, index: int, mixing: str) -> list[Transform]:
    """What comes before coupling `index`."""
    if mixing == "linear":
        return [Linear(dims, seed=index)] if index else []
    if mixing == "halves" or index % 2:
        return []
    order = torch.randperm(dims, generator=generator_for(index)) if index else checkerboard(shape)
    return [Permutation(order)]


def perceptron(context: int, hidden: Sequence[int], dropout: float = 0.0) -> Callable[[int, int], nn.Module]:
    """(kept, outputs) -> a conditioner that starts at zero."""

    def build(kept: int, outputs: int) -> nn.Module:
        network = MLP(kept + context, outputs, hidden, act="relu", dropout=dropout)
        nn.init.zeros_(network.last.weight)
        nn.init.zeros_(network.last.bias)
        return LinearInContext(network, context, outputs) if context else network

    return build


class LinearInContext(nn.Module):
    """f(x, c) + W c: a shift that follows the context linearly is there at once, the perceptron learns the rest.

    Args:
        network: f, on rows (B, inputs) whose last entries are the context.
        context: entries of the context.
        outputs: of f.
    """

    def __init__(self, network: MLP, context: int, outputs: int) -> None:
        super().__init__()
        self.network, self.context, self.weight = network, context, nn.Parameter(torch.zeros(outputs, context))

    def forward(self, x: Tensor) -> Tensor:
        return self.columns(x.T).T

    def columns(self, x: Tensor) -> Tensor:
        """(inputs, B) -> (outputs, B)."""
        return torch.addmm(self.network.columns(x), self.weight, x[-self.context :])
