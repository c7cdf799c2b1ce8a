"""Couplings: which end of the path belongs to which data point.

    q(u_0, u_1) with the marginals p_0 (data) and p_1 (noise, or a source)

Any such q has velocities whose flow carries p_1 into p_0; it chooses how far the lines are and how often they cross:

    independent         p_0 x p_1                                                       (Lipman et al. 2023)
    optimal_transport   minimises E|u_0 - u_1|^2 within blocks of a batch: lines hardly cross, so that paths are short
                        and few strokes are enough           (Tong et al. 2024; Pooladian et al. 2023)
    class_wise          that, among rows of the same context

The best permutation of a block is a linear assignment: every point of it is used exactly once, so the marginals hold in
every batch (plans sampled with replacement drop a third of the points). Between contexts transport would make the noise
depend on the context, p(u_1 | c) != p_1, while a sampler starts at p_1: `optimal_transport` refuses a context.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from fairway.core.config import Configurable, lookup
from fairway.core.random import Rows
from fairway.core.registry import Registry

BLOCK = 64
SHUFFLE = 5  # stream of a batch's noise


class Coupling(Configurable, ABC):
    """A permutation of one end of the path.

    Class attributes:
        couples: whether rows are looked at at all; a coupling that does not couple leaves the batch as it is.
    """

    role: ClassVar[str] = "pairing"
    couples: ClassVar[bool] = True

    @abstractmethod
    def match(self, u: Tensor, end: Tensor, context: Tensor | None, generator: Generator) -> Tensor:
        """Row i of u belongs to row index[i] of `end`.

        Args:
            u, end: (B, *U), independent draws of the two ends.
            context: (B, ...) embedded, or None.
            generator: of whatever is drawn.

        Returns:
            index (B,), int64, a permutation of 0, ..., B - 1.
        """


class Independent(Coupling):
    """The pairs as they were drawn.

    >>> Independent().match(torch.zeros(3, 2), torch.zeros(3, 2), None, Generator())
    tensor([0, 1, 2])
    """

    couples = False

    def match(self, u: Tensor, end: Tensor, context: Tensor | None, generator: Generator) -> Tensor:
        return torch.arange(len(u), device=u.device)


class OptimalTransport(Coupling):
    """The cheapest permutation, E|u_0 - u_1|^2 in model units, within random blocks.

    Args:
        block: rows per assignment, whose cost is cubic in it; larger blocks are nearer to the transport of the laws.

    Raises:
        ValueError: a block of no rows.

    >>> line = torch.arange(4.0).unsqueeze(1)
    >>> OptimalTransport().match(line, line.flip(0), None, Generator())
    tensor([3, 2, 1, 0])
    """

    def __init__(self, block: int = BLOCK) -> None:
        if block < 1:
            raise ValueError(f"expected a block of at least 1 row, got {block}")
        self.block = block

    def match(self, u: Tensor, end: Tensor, context: Tensor | None, generator: Generator) -> Tensor:
        if context is not None:
            raise ValueError(
                "expected no context with optimal_transport, whose noise would depend on it; "
                "use coupling='class_wise' (transport among rows of one context) or 'independent'"
            )
        return best_permutation(u.detach(), end.detach(), self.block, generator)


class ClassWise(Coupling):
    """Another coupling, among rows of equal context; a context that no other row has keeps its own draw.

    Args:
        inner: the coupling within a context, by name or as an object.

    Raises:
        ValueError: an unknown name; at use, rows without a context.
    """

    def __init__(self, inner: str | Coupling = "optimal_transport") -> None:
        self.inner = coupling_named(inner)
        self.arguments["inner"] = self.inner

    def match(self, u: Tensor, end: Tensor, context: Tensor | None, generator: Generator) -> Tensor:
        if context is None:
            raise ValueError("expected a context with class_wise, got none; use coupling='optimal_transport'")
        _, label, counts = torch.unique(context.flatten(1), dim=0, return_inverse=True, return_counts=True)
        index = torch.arange(len(u), device=u.device)
        for rows in label.argsort(stable=True).split(counts.tolist()):
            if len(rows) > 1:
                index[rows] = rows[self.inner.match(u[rows], end[rows], None, generator)]
        return index


def coupling_named(coupling: str | Coupling) -> Coupling:
    """A coupling from its name or itself.

    Raises:
        ValueError: an unknown name. TypeError: something else.
    """
    if isinstance(coupling, str):
        coupling = lookup("pairing", coupling)()
    if not isinstance(coupling, Coupling):
        raise TypeError(f"expected a coupling or its name, got {type(coupling).__name__}")
    return coupling


def coupled(coupling: Coupling, u: Tensor, end: Tensor, context: Tensor | None, rows: Rows) -> Tensor:
    """`end` (B, *U) in the order of u; over the whole batch, where processes share it.

    Args:
        rows: the batch's noise; its shared generator shuffles.
    """
    if not coupling.couples:
        return end
    whole = [None if part is None else rows.gathered(part) for part in (u, end, context)]
    index = coupling.match(whole[0], whole[1], whole[2], rows.shared(SHUFFLE))  # type: ignore[arg-type]
    return rows.share(whole[1][index])  # type: ignore[index]


def best_permutation(u: Tensor, end: Tensor, block: int, generator: Generator) -> Tensor:
    """The permutation that minimises the sum of |u_i - end_index[i]|^2 within random blocks of rows.

    Args:
        u, end: (B, *U). block: rows per block; the last may be smaller.

    Returns:
        index (B,), int64.
    """
    order = torch.randperm(len(u), generator=generator).to(u.device)
    index = torch.empty_like(order)
    whole = len(u) - len(u) % block
    for part in (order[:whole].reshape(-1, block), order[whole:].unsqueeze(0)):
        if part.numel():
            index[part] = part.gather(1, _assigned(u.flatten(1)[part], end.flatten(1)[part]))
    return index


def _assigned(u: Tensor, end: Tensor) -> Tensor:
    """(K, b): the columns of the cheapest assignment of each of K blocks (K, b, D).

    |u - e|^2 = |u|^2 + |e|^2 - 2 u.e, and what belongs to a row or a column alone is the same for all permutations:
    |u|^2 is left out, and the least of each row and column is taken away, which leaves the solver half of its work.
    """
    cost = end.square().sum(2).unsqueeze(1) - 2 * torch.bmm(u, end.transpose(1, 2))
    cost = cost - cost.amin(2, keepdim=True)
    cost, solve = cost - cost.amin(1, keepdim=True), _linear_sum_assignment()
    return torch.stack([torch.from_numpy(solve(block)[1]) for block in cost.double().cpu().numpy()]).to(u.device)


def _linear_sum_assignment() -> Callable[..., Any]:
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError as error:
        raise ImportError("expected SciPy for optimal transport, got none; pip install 'fairway[metrics]'") from error
    found: Callable[..., Any] = linear_sum_assignment
    return found


COUPLINGS = {
    "independent": "fairway.objectives.couplings:Independent",
    "optimal_transport": "fairway.objectives.couplings:OptimalTransport",
    "class_wise": "fairway.objectives.couplings:ClassWise",
}

couplings = Registry("pairing", COUPLINGS)
