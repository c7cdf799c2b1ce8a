"""Which rows train and which are held out: disjoint, shuffled, and the same for the same seed on every machine."""

import torch
from torch import Tensor


def split_rows(n: int, fraction: float = 0.1, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Row numbers of the train part and of the held-out part.

    Args:
        n: how many rows there are.
        fraction: the share to hold out, in (0, 1); at least one row goes to each side.
        seed: of the shuffle; the global random state is not touched.

    Returns:
        Two int64 tensors that together hold 0, ..., n - 1 once, each in shuffled order.

    Raises:
        ValueError: fewer than two rows, or a fraction outside (0, 1).

    >>> train, held_out = split_rows(10, 0.2)
    >>> len(train), len(held_out)
    (8, 2)
    """
    if n < 2:
        raise ValueError(f"expected at least 2 rows to split, got {n}; give more data or a held-out set of its own")
    if not 0 < fraction < 1:
        raise ValueError(f"expected a fraction between 0 and 1 to hold out, got {fraction}; 0.1 is usual")
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    held_out = min(max(round(n * fraction), 1), n - 1)
    return order[held_out:], order[:held_out]
