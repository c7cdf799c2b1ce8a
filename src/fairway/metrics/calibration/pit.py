"""The probability integral transform: if x ~ F then F(x) ~ U(0, 1).

    continuous        u = F(x)
    with jumps        u = F(x-) + v (F(x) - F(x-)),  v ~ U(0, 1)        randomised (Czado, Gneiting and Held 2009)
    from L draws      u = (#{x_l < x} + v (1 + #{x_l = x})) / (L + 1)

The last needs no F and no density, only draws of the same law: x is one of L + 1 exchangeable values, so its rank is
uniform at any L, ties and counts included, and v spreads it over its share of (0, 1). Every row gets draws of its own
(shared ones would make the u of different rows depend on one another).
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.random import Rows, Seed, mix, seed_of

DRAWS = 99  # 100 ranks


def pit(
    model: Any, x: Any, context: Any = None, *, draws: int = DRAWS, sampler: Any = None, generator: Seed = 0
) -> Tensor:
    """The transform of every entry of rows x (n, *E) under the model's marginals of the entries: (n, *E) in (0, 1).

    Args:
        context: (n, *C), for conditional models.
        draws: L, of the model for every row.
        sampler: a sampler, a kernel or a registered name; None for the model's own.
        generator: seed.

    >>> from fairway.core.event import Event
    >>> from fairway.models.classical.gaussian import Gaussian
    >>> model = Gaussian(Event((2,)))
    >>> pit(model, model.sample(5, generator=1)).shape
    torch.Size([5, 2])
    """
    seed = seed_of(generator)
    rows = as_tensor(x).cpu()
    return randomised_rank(rows, draws_for(model, len(rows), context, draws, sampler, mix(seed, 0)), mix(seed, 1))


def randomised_rank(x: Tensor, draws: Tensor, generator: Seed = 0) -> Tensor:
    """Where x (n, *K) stands among draws (n, L, *K), as u (n, *K) in (0, 1), ties broken at random.

    Raises:
        ValueError: shapes that do not fit.

    >>> randomised_rank(torch.tensor([5.0]), torch.tensor([[1.0, 2.0, 3.0]])).item() > 0.75
    True
    """
    if draws.ndim != x.ndim + 1 or draws[:, 0].shape != x.shape:
        raise ValueError(f"expected draws of shape (n, L, *{tuple(x.shape[1:])}), got {tuple(draws.shape)}")
    x, draws = x.double(), draws.double()  # the draws are rounded to the model's precision, x must be too
    below = (draws < x.unsqueeze(1)).sum(1)
    equal = (draws == x.unsqueeze(1)).sum(1)
    v = Rows(seed_of(generator), len(x), dtype=torch.float64).uniform(*x.shape[1:])
    return (below + v * (1 + equal)) / (draws.shape[1] + 1)


def pit_from_cdf(below: Any, at: Any, generator: Seed = 0) -> Tensor:
    """The randomised transform from F(x-) and F(x), of any shape (n, *K); equal where F has no jump.

    Raises:
        ValueError: not 0 <= F(x-) <= F(x) <= 1.

    >>> pit_from_cdf([0.2], [0.2])
    tensor([0.2000], dtype=torch.float64)
    """
    low, high = as_tensor(below, "below").double(), as_tensor(at, "at").double()
    if not bool(((low >= 0) & (low <= high) & (high <= 1)).all()):
        raise ValueError("expected 0 <= F(x-) <= F(x) <= 1 everywhere")
    v = Rows(seed_of(generator), len(low), dtype=torch.float64).uniform(*low.shape[1:])
    return low + v * (high - low)


def draws_for(model: Any, n: int, context: Any, draws: int, sampler: Any, seed: int) -> Tensor:
    """(n, L, *E) on the CPU: L draws under each of n contexts, or n times L independent ones without.

    Raises:
        ValueError: contexts that are not one per row, or no draws.
    """
    if draws < 1:
        raise ValueError(f"expected draws of at least 1, got {draws}")
    if context is None:
        return model.sample(n * draws, sampler=sampler, generator=seed).unflatten(0, (n, draws)).cpu()
    contexts = as_tensor(context, "context")
    if len(contexts) != n:
        raise ValueError(f"expected one context per row, {n} of them, got {len(contexts)}")
    return model.sample(draws, context=contexts, sampler=sampler, generator=seed).cpu()
