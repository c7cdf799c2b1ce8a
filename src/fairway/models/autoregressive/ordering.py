"""The order in which a model says its variables: p(x) = prod_t p(x_{o(t)} | x_{o(0)}, ..., x_{o(t-1)}).

`order` lists the variables from first to last, o(t); `rank` is its inverse, t of variable i. Every ordering gives an
exact density; they differ in how easy the conditionals are to learn.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from fairway.core.random import generator_for

NAMES = ("natural", "reversed", "random")


class Ordering:
    """A permutation of the variables.

    Args:
        order: the variables 0, ..., D - 1 from first to last.

    Raises:
        ValueError: not a permutation.

    >>> Ordering([2, 0, 1]).rank
    (1, 2, 0)
    """

    def __init__(self, order: Sequence[int]) -> None:
        self.order = tuple(int(i) for i in order)
        if sorted(self.order) != list(range(len(self.order))):
            raise ValueError(f"expected a permutation of 0, ..., {len(self.order) - 1}, got {list(self.order)}")
        rank = {variable: t for t, variable in enumerate(self.order)}
        self.rank = tuple(rank[i] for i in range(len(rank)))

    @classmethod
    def of(cls, ordering: "str | Sequence[int] | Ordering", dims: int) -> "Ordering":
        """From a name (natural, reversed, random), a permutation or an ordering of `dims` variables.

        Raises:
            ValueError: an unknown name, or a permutation of another length.
        """
        if isinstance(ordering, str):
            return cls.named(ordering, dims)
        found = ordering if isinstance(ordering, Ordering) else cls(ordering)
        if len(found) != dims:
            raise ValueError(f"expected an ordering of {dims} variables, got one of {len(found)}")
        return found

    @classmethod
    def named(cls, name: str, dims: int, seed: int = 0) -> "Ordering":
        """natural: 0, 1, ...; reversed; random: the permutation that the seed draws.

        Raises:
            ValueError: an unknown name.
        """
        if name not in NAMES:
            raise ValueError(f"expected an ordering among {', '.join(NAMES)} or a permutation, got {name!r}")
        if name == "random":
            return cls(torch.randperm(dims, generator=generator_for(seed)).tolist())
        return cls(range(dims) if name == "natural" else range(dims)[::-1])

    def __len__(self) -> int:
        return len(self.order)

    def __repr__(self) -> str:
        return f"Ordering({list(self.order)})"

    def before(self) -> Tensor:
        """(D, D) booleans: whether i may see j, that is, j comes strictly before i."""
        rank = torch.tensor(self.rank)
        return rank.unsqueeze(1) > rank
