"""Output heads: the law of one variable, given the parameters that a network made for it.

A head owns both directions, so that density and draw cannot disagree, and the way a value enters the network:

    log_prob(params (..., P), x (...))              -> (...)       nats
    sample(params (..., P), uniforms (..., U))      -> (...)       a function of its uniforms: the inverse of a cdf
    embed(x (...))                                  -> (..., F)    features of a value

===================  =============================================================  =======  ===  =====================
head                 law                                                            P        U    features
===================  =============================================================  =======  ===  =====================
Bernoulli            P(1) = sigmoid(a)                                              1        1    2 x - 1
Categorical          P(x) = softmax(a)_x                                            levels   1    unit vector
DiscretisedLogistic  sum_k w_k [s((x + 1/2 - m_k)/s_k) - s((x - 1/2 - m_k)/s_k)]    3 K      2    scaled to [-1, 1]
GaussianMixture      sum_k w_k N(x; m_k, s_k^2)                                     3 K      2    x
===================  =============================================================  =======  ===  =====================

The discretised logistic mixture (Salimans et al. 2017, PixelCNN++, section 2.1) knows that level 7 lies between 6 and
8: on few rows it needs far fewer of them than a softmax. Its first and last level take the whole tails, so that the
levels sum to one. Scales have a smooth floor: no component can collapse on a row. They have a ceiling, too, far away.
"""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from fairway.core.event import Event
from fairway.core.numerics import bernoulli_log_prob, categorical_log_prob, logistic_interval, normal_log_prob

FEW_LEVELS = 4  # up to here a softmax is as short as a mixture
CEILING = 10.0  # of log scales: a first wild step must not make an interval's probability underflow
TINY = 2.0**-26  # uniforms come in steps of 2^-24 from 0: kept off both ends


class Head(ABC):
    """The law of one variable.

    Attributes:
        params: numbers per variable that the network makes.
        uniforms: numbers in [0, 1) that one draw takes.
        features: numbers per variable that the network sees.
    """

    params: int
    uniforms: ClassVar[int] = 1
    features: int = 1

    @abstractmethod
    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        """params (..., P), x (...) -> (...): nats."""

    @abstractmethod
    def sample(self, params: Tensor, uniforms: Tensor) -> Tensor:
        """params (..., P), uniforms (..., U) in [0, 1) -> (...), floating point."""

    @abstractmethod
    def embed(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """(...) -> (..., features)."""

    def initial(self) -> Tensor:
        """(P,): parameters of a sensible law before anything is learned."""
        return torch.zeros(self.params)


class Bernoulli(Head):
    """x in {0, 1}; the parameter is a logit."""

    params = 1

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        return bernoulli_log_prob(x.to(params.dtype), params.squeeze(-1))

    def sample(self, params: Tensor, uniforms: Tensor) -> Tensor:
        return (uniforms.squeeze(-1) < torch.sigmoid(params.squeeze(-1))).to(params.dtype)

    def embed(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        return 2 * x.to(dtype).unsqueeze(-1) - 1


class Categorical(Head):
    """x in {0, ..., levels - 1}; the parameters are logits.

    Args:
        levels: number of values.
    """

    def __init__(self, levels: int) -> None:
        self.params = self.features = levels

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        return categorical_log_prob(x, params)

    def sample(self, params: Tensor, uniforms: Tensor) -> Tensor:
        return inverse_cdf(params, uniforms).to(params.dtype)

    def embed(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        return F.one_hot(x.long(), self.features).to(dtype)


class _Mixture(Head):
    """K components: params = weights' logits (K), means (K), log scales (K, floored smoothly)."""

    uniforms = 2
    floor: float  # smallest log scale
    reach: float  # means start evenly in [-reach, reach]
    width: float = 1.0  # scales start at this share of reach / K

    def __init__(self, components: int) -> None:
        if components < 1:
            raise ValueError(f"expected components as a positive integer, got {components}")
        self.components, self.params = components, 3 * components

    def split(self, params: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(..., 3 K) -> logits of the weights, means, log scales, each (..., K)."""
        logits, mean, raw = params.unflatten(-1, (3, self.components)).unbind(-2)
        return logits, mean, self.floor + F.softplus(raw.clamp(max=CEILING) - self.floor)

    def mixed(self, logits: Tensor, log_prob: Tensor) -> Tensor:
        """log sum_k w_k p_k, from logits and log p_k, both (..., K)."""
        return (logits + log_prob).logsumexp(-1) - logits.logsumexp(-1)

    def choose(self, params: Tensor, uniforms: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log scale (...) of the component that the uniforms (...) pick."""
        logits, mean, log_scale = self.split(params)
        k = inverse_cdf(logits, uniforms.unsqueeze(-1)).unsqueeze(-1)
        return mean.gather(-1, k).squeeze(-1), log_scale.gather(-1, k).squeeze(-1)

    def initial(self) -> Tensor:
        start = torch.zeros(3, self.components)
        start[1] = self.reach * torch.linspace(-1, 1, self.components + 2)[1:-1]
        start[2] = math.log(self.width * self.reach / self.components)
        return start.flatten()


class GaussianMixture(_Mixture):
    """x real, near scale 1.

    Args:
        components: number of Gaussians.
    """

    floor, reach, width = -6.0, 2.0, 3.0  # overlapping at first, so that outliers do not pull hard

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        logits, mean, log_scale = self.split(params)
        return self.mixed(logits, normal_log_prob(x.unsqueeze(-1), mean, log_scale))

    def sample(self, params: Tensor, uniforms: Tensor) -> Tensor:
        mean, log_scale = self.choose(params, uniforms[..., 0])
        return mean + log_scale.exp() * torch.special.ndtri(uniforms[..., 1].clamp(TINY, 1 - TINY))

    def embed(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        return x.to(dtype).unsqueeze(-1)


class DiscretisedLogistic(_Mixture):
    """x in {0, ..., levels - 1}, in order. Means and scales are in units of half the range, about its centre.

    Args:
        levels: number of values.
        components: number of logistics.
    """

    reach = 1.0

    def __init__(self, levels: int, components: int) -> None:
        super().__init__(components)
        self.levels, self.half = levels, 1 / (levels - 1)
        self.floor = math.log(self.half / 8)  # a component may sit on one level, but no narrower

    def log_prob(self, params: Tensor, x: Tensor) -> Tensor:
        logits, mean, log_scale = self.split(params)
        level, value = x.unsqueeze(-1), self.embed(x, params.dtype)
        interval = logistic_interval(value, mean, log_scale, self.half, level == 0, level == self.levels - 1)
        return self.mixed(logits, interval)

    def sample(self, params: Tensor, uniforms: Tensor) -> Tensor:
        mean, log_scale = self.choose(params, uniforms[..., 0])
        value = mean + log_scale.exp() * torch.logit(uniforms[..., 1].clamp(TINY, 1 - TINY))
        return ((value + 1) / (2 * self.half)).round().clamp(0, self.levels - 1)

    def embed(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        return 2 * self.half * x.to(dtype).unsqueeze(-1) - 1


def inverse_cdf(logits: Tensor, uniforms: Tensor) -> Tensor:
    """logits (..., K), uniforms (..., 1) in [0, 1) -> (...): the smallest k whose cumulated probability exceeds it."""
    cumulated = logits.softmax(-1).cumsum(-1)
    return (cumulated[..., :-1] <= uniforms * cumulated[..., -1:]).sum(-1)


def head_for(event: Event, components: int | None = None) -> Head:
    """The head of an event in model units: by its kind and number of levels.

    Args:
        event: counted events start at 0.
        components: of a mixture; None for 4 logistics or 10 Gaussians.

    Raises:
        ValueError: whole numbers without a known range.
    """
    if not event.counted:
        return GaussianMixture(10 if components is None else components)
    if event.levels is None:
        raise ValueError(f"expected an event with low and high (or levels), got {event}")
    if event.levels == 2:
        return Bernoulli()
    if event.kind == "integer" and event.levels > FEW_LEVELS:
        return DiscretisedLogistic(event.levels, 4 if components is None else components)
    return Categorical(event.levels)
