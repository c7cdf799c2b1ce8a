"""What draws of a normalised density q say of the constant of an unnormalised one: log Z = log int p~(x) dx.

    w = p~(x) / q(x),  x ~ q         E w = Z
    ELBO = E log w  <=  log Z        the gap is KL(q || p); standard error std(log w) / sqrt(n)

Beside it, among the `info`, stands log mean w, closer to log Z from below on average, with what the draws are worth:
ess near n says that q is p, ess near 1 that its tails are too short for the number to be trusted.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fairway.core.random import Seed
from fairway.metrics.estimate import Estimate
from fairway.samplers.weights import mean_weight


@torch.no_grad()
def evidence_bound(
    model: Any, log_prob: Callable[[Tensor], Tensor], context: Any = None, *, n: int = 4096, generator: Seed = 0
) -> Estimate:
    """A lower bound on log Z by draws of a model.

    Args:
        model: q, with draws that know their density.
        log_prob: log p~, x (n, *E) -> (n,), nats, in data units.
        context: one context (*C), for conditional models.
        n: draws.
        generator: seed.

    Returns:
        nats, relation "lower"; in `info`, `importance` (log mean w), its standard error and `ess`.

    Raises:
        CapabilityError: a model without such draws.
        ValueError: fewer than two draws.

    >>> from fairway.core.event import Event
    >>> from fairway.models.flow.real_nvp import RealNVP
    >>> flow = RealNVP(Event((2,)), hidden=(8,)).eval()                             # as built it is N(0, I)
    >>> found = evidence_bound(flow, lambda x: -0.5 * x.square().sum(1), n=100)     # log Z = log 2 pi
    >>> found.relation, round(found.value, 3)
    ('lower', 1.838)
    """
    if n < 2:
        raise ValueError(f"expected n of at least 2 draws, got {n}")
    x, log_q = model.sample_and_log_prob(n, context=context, generator=generator)
    log_w = log_prob(x).double().cpu() - log_q.double().cpu()
    found = mean_weight(log_w)
    error = float(log_w.std() / n**0.5)
    info = {"importance": found.log_mean, "importance_error": found.error, "ess": found.ess}
    return Estimate(float(log_w.mean()), error, "lower", "estimate", "nats", n=(n,), info=info)
