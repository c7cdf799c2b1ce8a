"""The importance-weighted bound (Burda, Grosse and Salakhutdinov 2016): more draws per row, a tighter bound.

    w = p(u, z) / q(z | u),  z ~ q(z | u)                    E w = p(u)
    L_k = E log 1/k sum_{i <= k} w_i                         L_1 = ELBO <= L_2 <= ... <= log p(u), nats

L_k -> log p(u) when w has a finite variance. The gap is about var(w) / (2 k p(u)^2), so what the draws are worth,
ess = (sum w)^2 / sum w^2 of k, says whether k was enough: an ess near 1 means one draw carries the sum and the bound
is still loose. The standard error of log mean w is the delta method's, sqrt(1/ess - 1/k). The mean over k of bounds
whose KL is in closed form is no such bound: each term must be the log of a weight, both densities at the same z.

A model takes part by the hook ``_log_weight(u, context, rows) -> (B,)``: the log of one w per row, model units.
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.capability import CapabilityError, HasBound
from fairway.core.likelihood import Likelihood
from fairway.core.random import Rows, Seed, seed_of


@torch.no_grad()
def importance_bound(
    model: Any,
    x: Any,
    context: Any = None,
    *,
    draws: int = 64,
    generator: Seed = 0,
    batch_size: int | None = None,
    protocol: str = "",
) -> Likelihood:
    """L_k of rows under a latent-variable model, k = `draws`.

    Args:
        x: (n, *E) rows in data units, or a `Dataset` (which brings its protocol).
        context: (n, *C), for conditional models.
        generator: seed of the draws.
        protocol: how the data were prepared; numbers under different protocols are never ranked.

    Returns:
        A lower bound per row; among its terms `elbo`, the mean of log w of the same draws, and `ess`.

    Raises:
        CapabilityError: the model has no importance weights, or no bound in data units.
        ValueError: no draw, or rows that do not fit the event.

    >>> from fairway.core.event import Event
    >>> from fairway.models.latent.vae import VAE
    >>> model = VAE(Event((3,), "binary"), latent=2, hidden=(8,)).eval()
    >>> found = importance_bound(model, torch.zeros(5, 3).long(), draws=20)
    >>> bool((found.value >= found.terms["elbo"]).all()), found.relation
    (True, 'lower')
    """
    if not (model.supports(HasBound) and hasattr(model, "_log_weight")):
        raise CapabilityError(f"the importance-weighted bound needs a bound and `_log_weight`; {model.name()} has not")
    if draws < 1:
        raise ValueError(f"expected draws of at least 1, got {draws}")
    rows, protocol = as_tensor(getattr(x, "x", x)), protocol or getattr(x, "protocol", "")
    if rows.ndim != len(model.event.shape) + 1:
        raise ValueError(f"expected rows of shape (n, *{tuple(model.event.shape)}), got {tuple(rows.shape)}")
    seed = seed_of(generator)

    def sums(x: Tensor, context: Tensor | None, start: int) -> Tensor:
        return _sums(model, x, context, Rows(seed, len(x), start, model.dtype, model.device), draws)

    first, second, total = model._over_rows(sums, rows, context, batch_size).cpu().unbind(1)
    k = torch.tensor(draws, dtype=torch.float64)
    inverse = (second - 2 * first).exp()  # 1 / ess
    error = (inverse - 1 / k).clamp(min=0).sqrt()
    dims = torch.full((len(rows),), max(rows[0].numel(), 1))
    terms = {"elbo": total / k, "ess": 1 / inverse}
    return Likelihood(first - k.log(), "lower", "estimate", error, dims, protocol, model.event.levels, terms)


def _sums(model: Any, x: Tensor, context: Tensor | None, rows: Rows, draws: int) -> Tensor:
    """(B, 3) float64: log sum w, log sum w^2 and sum log w, in data units; no more than one draw in memory."""
    first = second = torch.full((len(x),), -torch.inf, dtype=torch.float64, device=x.device)
    total = torch.zeros_like(first)
    for k in range(draws):
        noise = rows.spawn(k)
        u, ladj = model._to_model(x, noise.spawn(0) if model.preprocess.random else None)
        log_w = (model._log_weight(u, context, noise) + ladj).double()
        first, second = torch.logaddexp(first, log_w), torch.logaddexp(second, 2 * log_w)
        total = total + log_w
    return torch.stack([first, second, total], 1)
