"""Decoder likelihoods p(u | z) = prod_i p(u_i | params_i(z)): what a decoder's raw outputs mean.

    Normal               m, r        N(u; m, s^2),  log s = 5 tanh(r / 5)                 continuous units
    Bernoulli            a           sigmoid(a)^u (1 - sigmoid(a))^(1 - u)                binary
    Categorical          a_1..a_K    softmax(a)_u                                         any counted levels
    DiscretisedLogistic  m, r        sigmoid((u + 1/2 - m)/s) - sigmoid((u - 1/2 - m)/s)  many ordered levels

Raw outputs arrive as (B, dims * per_entry); log probabilities leave as (B,), nats, model units. The scale s of the
Normal is learned per entry (Rybkin et al. 2021, "sigma-VAE"): a fixed one would weigh the reconstruction arbitrarily
against the KL. It stays within exp(+-5) of the data's, since the likelihood is unbounded as s -> 0. The logistic's
outer levels take the tails (Salimans et al. 2017, section 2.1), so that the K levels sum to one.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from fairway.core.event import Event
from fairway.core.numerics import bernoulli_log_prob, event_sum, logistic_interval, normal_log_prob
from fairway.core.random import Rows

LIMIT = 5.0  # of a learned log scale
FEW_LEVELS = 8  # up to these, ordered levels are free; beyond, neighbours share two parameters (0.2 bits on digits)


def soft_limit(raw: Tensor, limit: float = LIMIT) -> Tensor:
    """The identity near 0, within +-limit everywhere."""
    return limit * torch.tanh(raw / limit)


class DecoderLikelihood(ABC):
    """The meaning of a decoder's outputs for one event in model units.

    Args:
        event: the model event.
    """

    def __init__(self, event: Event) -> None:
        self.event = event

    @property
    @abstractmethod
    def per_entry(self) -> int:
        """Raw outputs per entry of the event."""

    @abstractmethod
    def log_prob(self, params: Tensor, u: Tensor) -> Tensor:
        """params (B, dims * per_entry), u (B, *U) -> (B,): log p(u | z), nats."""

    @abstractmethod
    def sample(self, params: Tensor, rows: Rows) -> Tensor:
        """(B, *U): a draw per row; all noise from `rows`."""

    @abstractmethod
    def mean(self, params: Tensor) -> Tensor:
        """(B, *U): the mean of p(u | z); the likeliest level where levels have no order."""

    def _split(self, params: Tensor) -> Tensor:
        """(B, dims * per_entry) -> (per_entry, B, *U)."""
        return params.reshape(len(params), self.per_entry, *self.event.shape).transpose(0, 1)  # type: ignore[arg-type]


class Normal(DecoderLikelihood):
    """A Gaussian per entry, its scale learned."""

    per_entry = 2

    def log_prob(self, params: Tensor, u: Tensor) -> Tensor:
        mean, raw = self._split(params)
        return event_sum(normal_log_prob(u, mean, soft_limit(raw)))

    def sample(self, params: Tensor, rows: Rows) -> Tensor:
        mean, raw = self._split(params)
        return mean + soft_limit(raw).exp() * rows.normal(*mean.shape[1:])

    def mean(self, params: Tensor) -> Tensor:
        return self._split(params)[0]


class Bernoulli(DecoderLikelihood):
    """A coin per entry."""

    per_entry = 1

    def log_prob(self, params: Tensor, u: Tensor) -> Tensor:
        return event_sum(bernoulli_log_prob(u.to(params.dtype), self._split(params)[0]))

    def sample(self, params: Tensor, rows: Rows) -> Tensor:
        chance = self._split(params)[0].sigmoid()
        return (rows.uniform(*chance.shape[1:]) < chance).long()

    def mean(self, params: Tensor) -> Tensor:
        return self._split(params)[0].sigmoid()


class Categorical(DecoderLikelihood):
    """A free probability per level."""

    @property
    def per_entry(self) -> int:
        return self.event.levels or 1

    def log_prob(self, params: Tensor, u: Tensor) -> Tensor:
        logits = self._split(params)  # levels first: (K, B, *U)
        chosen = logits.gather(0, u.long().unsqueeze(0)).squeeze(0)
        return event_sum(chosen - logits.logsumexp(0))

    def sample(self, params: Tensor, rows: Rows) -> Tensor:
        """Inverts the cumulative probability: one uniform per entry."""
        cumulative = self._split(params).softmax(0).cumsum(0)
        uniform = rows.uniform(*cumulative.shape[2:])
        return (uniform >= cumulative[:-1]).sum(0)

    def mean(self, params: Tensor) -> Tensor:
        chance = self._split(params).softmax(0)
        if self.event.kind != "integer":
            return chance.argmax(0)
        level = torch.arange(len(chance), dtype=chance.dtype, device=chance.device)
        return torch.tensordot(level, chance, 1)


class DiscretisedLogistic(DecoderLikelihood):
    """A logistic density cut into ordered levels; the outer ones take the tails. Outputs are in half ranges."""

    per_entry = 2

    def log_prob(self, params: Tensor, u: Tensor) -> Tensor:
        mean, log_scale = self._mean_and_log_scale(params)
        last = (self.event.levels or 1) - 1
        centre = u.to(params.dtype)
        return event_sum(logistic_interval(centre, mean, log_scale, 0.5, u == 0, u == last))

    def sample(self, params: Tensor, rows: Rows) -> Tensor:
        mean, log_scale = self._mean_and_log_scale(params)
        noise = torch.logit(rows.uniform(*mean.shape[1:]), eps=1e-7)
        return (mean + log_scale.exp() * noise).round().clamp(0, (self.event.levels or 1) - 1).long()

    def mean(self, params: Tensor) -> Tensor:
        """The centre of the logistic: its median and, before the cut, its mean."""
        return self._mean_and_log_scale(params)[0].clamp(0, (self.event.levels or 1) - 1)

    def _mean_and_log_scale(self, params: Tensor) -> tuple[Tensor, Tensor]:
        centre, raw = self._split(params)
        half = ((self.event.levels or 1) - 1) / 2
        return half * (1 + centre), soft_limit(raw) + torch.tensor(half).log().item()


LIKELIHOODS: dict[str, Callable[[Event], DecoderLikelihood]] = {
    "normal": Normal,
    "bernoulli": Bernoulli,
    "categorical": Categorical,
    "discretised_logistic": DiscretisedLogistic,
}
TAKES = {
    "normal": ("real",),
    "bernoulli": ("binary",),
    "categorical": ("integer", "binary", "category"),
    "discretised_logistic": ("integer",),
}


def decoder_likelihood(event: Event, name: str = "auto") -> DecoderLikelihood:
    """The likelihood of a name for an event in model units; "auto" takes the one that fits the event.

    Raises:
        ValueError: an unknown name, or one that does not fit the event.
    """
    name = _fitting(event) if name == "auto" else name
    if name not in LIKELIHOODS:
        raise ValueError(f"expected likelihood as auto or one of {', '.join(LIKELIHOODS)}; got {name!r}")
    if event.kind not in TAKES[name]:
        raise ValueError(f"likelihood {name!r} is for {', '.join(TAKES[name])} units, got {event.kind}; take 'auto'")
    return LIKELIHOODS[name](event)


def _fitting(event: Event) -> str:
    if not event.counted:
        return "normal"
    if event.kind == "binary":
        return "bernoulli"
    ordered = event.kind == "integer" and (event.levels or 0) > FEW_LEVELS
    return "discretised_logistic" if ordered else "categorical"


def network_input(u: Tensor, event: Event, dtype: torch.dtype) -> Tensor:
    """u (B, *U) as a network likes it: ordered levels within [-1, 1], unordered ones as unit vectors."""
    if event.kind in ("category", "tokens"):
        return F.one_hot(u.long(), event.levels or 1).to(dtype)
    if event.counted:
        return u.to(dtype) * (2 / max((event.levels or 2) - 1, 1)) - 1
    return u
