"""The base of a flow: the density at the tee, from which the transforms start.

    normal      log p(z) = -|z|^2 / 2 - (D/2) log 2 pi
    logistic    log p(z) = -sum_i [softplus(z_i) + softplus(-z_i)]          (NICE: Dinh, Krueger and Bengio 2015, 3.4)
    a model     log p(z) of any density on vectors of D reals: a fitted mixture, another flow, learned along

At temperature T the noise is T times as wide (Kingma and Dhariwal 2018, Glow, section 6): T = 1 is the model, below it
lie fewer and more typical draws. Shapes: z (B, D).
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairway.core.capability import CapabilityError, HasLogProb, HasReparameterised, HasSample, require
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.numerics import standard_normal_log_prob
from fairway.core.random import Rows

TINY = 2.0**-26  # uniforms come in steps of 2^-24 from 0: kept off both ends


class Base(nn.Module, ABC):
    """A density on vectors with draws that carry the gradient."""

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """(B, D) -> (B,): nats."""

    @abstractmethod
    def sample(self, dims: int, rows: Rows, temperature: float = 1.0) -> Tensor:
        """(n, D) draws."""

    def rsample(self, dims: int, rows: Rows) -> Tensor:
        """(n, D) draws that carry the gradient to the base's own parameters, if it has any."""
        return self.sample(dims, rows)


class StandardNormal(Base):
    """N(0, I)."""

    def log_prob(self, z: Tensor) -> Tensor:
        return standard_normal_log_prob(z)

    def sample(self, dims: int, rows: Rows, temperature: float = 1.0) -> Tensor:
        noise = rows.normal(dims)
        return noise if temperature == 1.0 else temperature * noise


class StandardLogistic(Base):
    """Independent logistic variables of scale 1."""

    def log_prob(self, z: Tensor) -> Tensor:
        return -(F.softplus(z) + F.softplus(-z)).sum(1)

    def sample(self, dims: int, rows: Rows, temperature: float = 1.0) -> Tensor:
        return temperature * torch.logit(rows.uniform(dims).clamp(TINY, 1 - TINY))


class ModelBase(Base):
    """A density model as the base; its parameters are trained with the flow's where they ask for a gradient.

    Args:
        model: on vectors of `dims` reals, without context.
        dims: D.

    Raises:
        ValueError: a model of other events, or a conditional one.
        CapabilityError: a model without density or draws.
    """

    def __init__(self, model: Model, dims: int) -> None:
        super().__init__()
        if model.event.counted or model.event.dims != dims or model.context_event is not None:
            raise ValueError(
                f"expected a base on {Event((dims,))} without context, got {model.name()} on {model.event}"
            )
        require(model, (HasLogProb, HasSample), "the base of a flow")
        self.model = model

    def log_prob(self, z: Tensor) -> Tensor:
        return self.model._log_prob_rows(z.reshape(len(z), *self._shape), None, 0).to(z.dtype)

    def sample(self, dims: int, rows: Rows, temperature: float = 1.0) -> Tensor:
        if temperature != 1.0:
            raise ValueError(f"a temperature needs a normal or logistic base, got the base {self.model.name()}")
        return self._flat(self.model._sample(rows.n, None, rows))

    def rsample(self, dims: int, rows: Rows) -> Tensor:
        if isinstance(self.model, HasReparameterised):
            return self._flat(self.model._rsample_and_log_prob(rows.n, None, rows)[0])
        if torch.is_grad_enabled() and any(p.requires_grad for p in self.model.parameters()):
            raise CapabilityError(
                f"draws of the base {self.model.name()} carry no gradient to its parameters: "
                "freeze them (requires_grad_(False)) or use a base with reparameterised draws"
            )
        return self.sample(dims, rows)

    def _flat(self, u: Tensor) -> Tensor:
        return self.model.preprocess.to_data(u).flatten(1).to(u.dtype)

    @property
    def _shape(self) -> tuple[int, ...]:
        return tuple(s or 1 for s in self.model.event.shape)


BASES: dict[str, type[Base]] = {"normal": StandardNormal, "logistic": StandardLogistic}


def base_for(base: Any, dims: int) -> Base:
    """A base from its name or a density model.

    Raises:
        ValueError: an unknown name, or a model that is no density of `dims` reals.
    """
    if isinstance(base, Model):
        return ModelBase(base, dims)
    if isinstance(base, str) and base in BASES:
        return BASES[base]()
    raise ValueError(f"expected a base among {', '.join(BASES)}, or a density model on {dims} reals; got {base!r}")
