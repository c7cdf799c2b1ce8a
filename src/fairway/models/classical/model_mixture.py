"""Mixtures of whole models, of any kind and each in its own units.

    p(x) = sum_k w_k p_k(x)            a draw: k ~ w, then x ~ p_k

Exact where every p_k is, and a draw costs one of each component. Components and weights learn together by maximum
likelihood, or were trained apart: `ModelMixture.of([a, b], shares=(1, 3))`. Of components with a bound alone,
B_k <= log p_k(x) on average, the mixture has one too (`BoundMixture`): for any shares r that sum to one,

    log p(x) >= sum_k r_k (B_k + log w_k - log r_k)              (Jensen),  = log p(x) for B_k = log p_k, r_k = p(k | x)

with r = softmax(log w + B') of another draw B' of the bounds, so that r is independent of the noise in B; a softmax of
the same draw would lean to the components whose noise was kind, and be no bound.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from fairway.core.capability import HasBound, HasLogProb, HasSample
from fairway.core.event import Event
from fairway.core.model import Case, Model
from fairway.core.objective import Objective
from fairway.core.preprocessing import Identity, Preprocessing
from fairway.core.random import Rows
from fairway.models.classical.composite import Composite, one_each
from fairway.objectives.elbo import ELBO
from fairway.objectives.mle import MLE

METHODS = ("exact", "numerical", "estimate")  # of a density, the best first


class Mixed(HasSample, Composite):
    """What mixtures have in common: weights, and a draw of each component for every row, of which one is taken."""

    def __init__(
        self,
        event: Event,
        context_event: Event | None,
        models: Sequence[str | Model],
        shares: Sequence[float] | None,
        units: Sequence[Preprocessing] | None,
    ) -> None:
        super().__init__(event, context_event, models, units)
        found = one_each(shares, len(self.models), "shares")
        if not (bool((found >= 0).all()) and float(found.sum()) > 0):
            raise ValueError(f"expected shares >= 0, some above 0, got {shares}")
        for k in range(len(self.models)):
            if self._component(k).default_sampler().coupled:
                raise ValueError(f"expected models whose draws are independent, got {self._component(k).name()}")
        self.logits = nn.Parameter((found / found.sum()).clamp(min=1e-30).log())

    @property
    def log_weights(self) -> Tensor:
        """(K,) log w."""
        return self.logits.log_softmax(0)

    def _sample(self, n: int, context: Tensor | None, rows: Rows) -> Tensor:
        cumulated = self.log_weights.double().exp().cumsum(0)
        chosen = (rows.uniform().double().unsqueeze(1) * cumulated[-1] > cumulated).sum(1).clamp(max=len(cumulated) - 1)
        draws = [self._drawn(k, n, context, rows.spawn(k)) for k in range(len(self.models))]
        return torch.stack(draws)[chosen, torch.arange(n, device=chosen.device)]

    def _drawn(self, k: int, n: int, context: Tensor | None, rows: Rows) -> Tensor:
        return self._from_component(k, self._draw_component(k, n, context, rows))


class ModelMixture(HasLogProb, Mixed):
    """sum_k w_k p_k(x) of models with densities.

    Args:
        event, context_event: of every component.
        models: the components, trained or not; or names, built on the event with their defaults.
        shares: w, one each, up to a factor; None for equal ones. A fit moves them.
        units: see `Composite`.

    Raises:
        ValueError: components without a density, of other events, or that do not measure counted data alike.

    >>> model = ModelMixture(Event((2,)), models=("gaussian", "gaussian"), shares=(3, 1))
    >>> model.log_weights.exp().detach()
    tensor([0.7500, 0.2500])
    """

    cites = ("bishop2006prml",)
    tiny: ClassVar[list[Case]] = [
        Case(Event((2,)), None, {"models": ("gmm", "gmm"), "shares": (1.0, 3.0)}),
        Case(Event((2, 2), "integer", low=0, high=3), None, {"models": ("gmm", "gmm")}),
        Case(Event((2,)), Event((2,)), {"models": ("planar", "radial")}),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        models: Sequence[str | Model] = ("nsf", "gaussian"),
        shares: Sequence[float] | None = None,
        units: Sequence[Preprocessing] | None = None,
    ) -> None:
        super().__init__(event, context_event, models, shares, units)
        for model in self.models:
            if not isinstance(model, HasLogProb):
                raise ValueError(f"expected models with a density, got {model.name()}; bounds mix in bound_mixture")  # type: ignore[operator]

    def default_objective(self) -> Objective:
        return MLE()

    @property
    def likelihood(self) -> str:
        """The least of the components' methods."""
        return max((m.likelihood for m in map(self._component, range(len(self.models)))), key=METHODS.index)

    def _log_joint_k(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        """(B, K): log w_k + log p_k, in the units of u."""
        x, ladj, inside = self._point(u)
        parts = []
        for k in range(len(self.models)):
            v, own = self._at_component(k, x)
            value = self._component(k)._log_prob(v, self._context_for(k, context))
            parts.append(torch.where(inside, value + own - ladj, -torch.inf))
        return torch.stack(parts, 1).to(self.dtype) + self.log_weights

    def _log_prob(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        return self._log_joint_k(u, context).logsumexp(1)

    def responsibilities(self, x: Any, context: Any = None, *, batch_size: int | None = None) -> Tensor:
        """p(k | x): (*L, *E) in data units -> (*L, K); counted data that are dequantised at their centre."""
        return self._over_rows(
            lambda x, c, start: self._log_joint_k(self._to_model(x)[0], c).softmax(1), x, context, batch_size
        )


class BoundMixture(HasBound, Mixed):
    """sum_k w_k p_k(x) of models with bounds or densities, by a bound.

    Args:
        event, context_event, models, shares, units: as for `ModelMixture`; counted data need not be measured alike,
            since bounds are added in data units.

    Raises:
        ValueError: components with neither, or of other events.
    """

    cites = ("kingma2014vae",)
    tiny: ClassVar[list[Case]] = [
        Case(Event((5,)), None, {"models": ("gmm", "vae")}),
        Case(Event((2, 2), "integer", low=0, high=3), None, {"models": ("vae", "gmm"), "shares": (1.0, 2.0)}),
        Case(Event((3,)), Event((), "category", levels=3), {"models": ("planar", "vae")}),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        models: Sequence[str | Model] = ("vae", "gaussian"),
        shares: Sequence[float] | None = None,
        units: Sequence[Preprocessing] | None = None,
    ) -> None:
        super().__init__(event, context_event, models, shares, units)
        for model in self.models:
            if not model.supports(HasBound):  # type: ignore[operator]
                raise ValueError(f"expected models with a density or a bound, got {model.name()}")  # type: ignore[operator]

    def _take_units(self) -> None:
        """Data units where they are counted, in which any two models can be compared."""
        self.shared_units = not self.event.counted
        if self.shared_units:
            return super()._take_units()
        self.preprocess = Identity(self.event)
        self.model_event = self.preprocess.model_event
        return None

    def default_objective(self) -> Objective:
        return ELBO()

    def _bounds(self, u: Tensor, context: Tensor | None, rows: Rows) -> Tensor:
        """(B, K): one draw of each component's bound, in the units of u."""
        x = self.preprocess.to_data(u)
        _, ladj = self.preprocess.to_model(x)
        parts = []
        for k in range(len(self.models)):
            costs = self._component(k)._bound_rows(x, self._context_for(k, context), rows.start, rows.seed, k)
            parts.append(-sum(costs.values()) - ladj)
        return torch.stack(parts, 1).to(self.dtype)

    def _bound_terms(self, u: Tensor, context: Tensor | None, rows: Rows) -> dict[str, Tensor]:
        bounds = self._bounds(u, context, rows.spawn(0))
        with torch.no_grad():
            shares = (self.log_weights + self._bounds(u, context, rows.spawn(1))).log_softmax(1)
        choice = (shares.exp() * (shares - self.log_weights)).sum(1)
        return {"components": -(shares.exp() * bounds).sum(1), "choice": choice}

    def _drawn(self, k: int, n: int, context: Tensor | None, rows: Rows) -> Tensor:
        if not self.event.counted:
            return super()._drawn(k, n, context, rows)
        return self._component(k)._to_data(self._draw_component(k, n, context, rows)).long()


def mixture_of(models: Sequence[Model], shares: Sequence[float] | None = None) -> ModelMixture | BoundMixture:
    """The mixture of models that exist: exact where all have densities and measure alike, else by bounds.

    Args:
        models: on the same event; held, not copied.
        shares: one each, up to a factor; None for equal ones.
    """
    alike = len({bool(model.model_event.counted) for model in models}) == 1
    exact = alike and all(isinstance(model, HasLogProb) for model in models)
    mixture: ModelMixture | BoundMixture = (ModelMixture if exact else BoundMixture).of(models, shares=shares)
    return mixture
