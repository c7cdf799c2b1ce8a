"""Log densities and stable sums in elementary operations.

`torch.distributions` costs several times as much on these small kernels, so the hot paths write them out:

    log N(x; m, s)   = -(x - m)^2 / (2 s^2) - log s - log(2 pi) / 2
    log Bern(x; a)   = x a - softplus(a)                       (a a logit)
    log Cat(x; a)    = a_x - logsumexp(a)
    log mean exp(a)  = logsumexp(a) - log n

All functions work entry by entry; `event_sum` adds the entries of one observation.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)
LOG_2 = math.log(2.0)


def under_transform() -> bool:
    """Inside torch.func (vmap, grad, jvp), which follows no gradient written by hand and no write into a buffer."""
    active: bool = torch._C._are_functorch_transforms_active()
    return active


def event_sum(x: Tensor) -> Tensor:
    """(B, ...) -> (B,): sum over everything but the batch."""
    return x.flatten(1).sum(1) if x.ndim > 1 else x


def expand_as_rows(v: Tensor, like: Tensor) -> Tensor:
    """(B,) -> (B, 1, ..., 1) with as many axes as `like`."""
    return v.reshape(-1, *([1] * (like.ndim - 1)))


def normal_log_prob(x: Tensor, mean: Tensor | float = 0.0, log_std: Tensor | float = 0.0) -> Tensor:
    """Entrywise log density of N(mean, exp(log_std)^2), nats."""
    if isinstance(log_std, Tensor):
        return -0.5 * ((x - mean) * torch.exp(-log_std)).square() - log_std - 0.5 * LOG_2PI
    return -0.5 * ((x - mean) * math.exp(-log_std)).square() - (log_std + 0.5 * LOG_2PI)


def standard_normal_log_prob(z: Tensor) -> Tensor:
    """(B, ...) -> (B,): log N(z; 0, I), nats."""
    z = z.flatten(1) if z.ndim > 1 else z.unsqueeze(1)
    return -0.5 * z.square().sum(1) - 0.5 * LOG_2PI * z.shape[1]


def bernoulli_log_prob(x: Tensor, logits: Tensor) -> Tensor:
    """Entrywise log probability of x in {0, 1}, nats."""
    return x * logits - F.softplus(logits)


def categorical_log_prob(level: Tensor, logits: Tensor) -> Tensor:
    """level (...), logits (..., K) -> (...): log probability of the level, nats."""
    return logits.gather(-1, level.long().unsqueeze(-1)).squeeze(-1) - logits.logsumexp(-1)


def logistic_interval(
    centre: Tensor, mean: Tensor, log_scale: Tensor, half: float, first: Tensor, last: Tensor
) -> Tensor:
    """Log probability that a logistic variable falls within `half` of `centre`, nats, entrywise.

    The first and last intervals (boolean masks) run to minus and plus infinity, so that the levels sum to one.
    The interval is written as log(sigmoid(b) - sigmoid(a)) = log_sigmoid(b) + log_sigmoid(-a) + log(1 - e^(a-b)),
    which stays finite far in the tails (Salimans et al. 2017, PixelCNN++, section 2.1, has it in float32 by cases).
    """
    inverse = torch.exp(-log_scale)
    above, below = (centre + half - mean) * inverse, (centre - half - mean) * inverse
    up, down = F.logsigmoid(above), F.logsigmoid(-below)
    inner = up + down + torch.log(-torch.expm1(-2 * half * inverse))
    return torch.where(first, up, torch.where(last, down, inner))


def log_sum_exp(x: Tensor, dim: int = -1) -> Tensor:
    """log of the sum of exp(x) along `dim`, with one exponential an entry.

    `torch.logsumexp` takes a second one for the gradient; here it reuses the first, which halves the cost of a
    mixture's gradient once it is compiled. All minus infinity gives minus infinity, with a gradient of NaN.
    """
    limit = torch.finfo(x.dtype).max
    top = x.detach().amax(dim, keepdim=True).clamp(-limit, limit)
    return top.squeeze(dim) + (x - top).exp().sum(dim).log()


def log_mean_exp(x: Tensor, dim: int = 0) -> Tensor:
    """log of the mean of exp(x) along `dim`."""
    return x.logsumexp(dim) - math.log(x.shape[dim])


def softplus_inverse(y: float) -> float:
    """The x with softplus(x) = y, for y > 0."""
    return y + math.log(-math.expm1(-y))


def gradient(function: Callable[[Tensor], Tensor], u: Tensor) -> Tensor:
    """The gradient at u of a scalar function, itself differentiable: for losses that hold a slope.

    A compiler cannot trace `autograd.grad` and traces `torch.func.grad`, which costs small networks half as much again
    where nothing is compiled; the values are the same.
    """
    if torch.compiler.is_compiling():
        slope: Tensor = torch.func.grad(function)(u)
        return slope
    u = u if u.requires_grad else u.detach().requires_grad_()
    return torch.autograd.grad(function(u), u, create_graph=True)[0]
