"""A model made of models: each in its own units, all asked about the same point.

    x = T^-1(u),   v_k = T_k(x):         log p_k(x) = log p_k(v_k) + log|det dT_k/dx|           nats, data units

T: the units of the whole, those of the first component; T_k: the component's own. Densities in data units are thus
added or multiplied, whatever scale each component was trained in. Counted data either keep their levels in all
components or are dequantised in all: then x is the real number before the floor, in the cell of its level.

A range that the whole maps to the line with a margin (`core.preprocessing.Logit`) ends at the margin: at a u whose x
lies beyond, its density is 0.
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fairway.core.config import lookup, to_json
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.preprocessing import Chain, Dequantise, Preprocessing
from fairway.core.random import Rows

TOLERANCE = 1e-3  # by which a point may miss itself on its way to data units and back


class Composite(Model):
    """Base of models made of models on the same event.

    Args:
        event, context_event: of every component.
        models: the components: models, which keep the units they have; or names of models, built on the event with
            their defaults, in the units of the whole, to be learned with it.
        units: the preprocessings of components that have other units than their class gives them (written by itself).

    Raises:
        ValueError: no components, components of other events, or counted data that some keep and some dequantise.
    """

    accepts_context = ("category", "real")
    shared_units = True  # by the components given by name

    def __init__(
        self,
        event: Event,
        context_event: Event | None,
        models: Sequence[str | Model],
        units: Sequence[Preprocessing] | None = None,
    ) -> None:
        super().__init__(event, context_event)
        self.models = nn.ModuleList(_built(models, event, context_event))
        self.named = tuple(isinstance(model, str) for model in models)
        for k, preprocess in enumerate(units or ()):
            self._component(k).use_preprocessing(preprocess)
        if units is None and any(map(_unusual, self.models)):
            self.arguments["units"] = tuple(m.preprocess for m in self.models)
        self._take_units()
        for k in self._learners():
            self._component(k).context_preprocess = self.context_preprocess

    @classmethod
    def of(cls, models: Sequence[Model], **options: Any) -> Any:
        """The composite of models that exist, in the precision and on the device of the first.

        Args:
            models: the components, on one event; they are held, not copied.
            options: of the constructor.
        """
        first, built = models[0], {"models": tuple(models), **options}
        whole: Any = cls(first.event, first.context_event, **built)
        if whole.context_preprocess is not None:
            whole.context_preprocess = copy.deepcopy(first.context_preprocess)
        return whole.to(device=first.device, dtype=first.dtype).eval()

    def _component(self, k: int) -> Model:
        model: Model = self.models[k]  # type: ignore[assignment]
        return model

    def _learners(self) -> list[int]:
        """The components given by name."""
        return [k for k, named in enumerate(self.named) if named]

    def _take_units(self) -> None:
        """The units of the first component, as the whole's own."""
        if len({bool(self._component(k).model_event.counted) for k in range(len(self.models))}) > 1:
            raise ValueError(
                "expected components that all keep the levels of counted data or all dequantise them, got both: take "
                "models of one kind, or bound_mixture, which adds up bounds"
            )
        self.model_event = self._component(0).model_event
        self.use_preprocessing(copy.deepcopy(self._component(0).preprocess))

    def use_preprocessing(self, preprocess: Preprocessing) -> None:
        """Replace the units of the whole, and of the components given by name.

        Raises:
            ValueError: it leads to other model units than these.
        """
        super().use_preprocessing(preprocess)
        for k in self._learners() if self.shared_units else ():
            self._component(k).use_preprocessing(preprocess)

    def _start(self, u: Tensor) -> None:
        """Let components given by name see some training rows, before the first step."""
        x = self.preprocess.to_data(u)
        for k in self._learners():
            model = self._component(k)
            if model.preprocess is not self.preprocess:
                model.preprocess.fit(x)
            if hasattr(model, "_start"):
                noise = Rows(0, len(x), 0, self.dtype, self.device) if model.preprocess.random else None
                model._start(model._to_model(x, noise)[0])

    # -- between units ------------------------------------------------------------------------------------------
    def _point(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """u (B, *U) -> x (B, *E) in data units before any floor, log|det du/dx| (B,), and whether u is a point (B,)."""
        x = _to_line(self.preprocess, u)
        back, ladj = _from_line(self.preprocess, x)
        miss = (back - u).detach().double().abs().reshape(len(u), -1)
        near = miss <= TOLERANCE * (1 + u.detach().double().abs().reshape(len(u), -1))
        return x, ladj, near.all(1)

    def _at_component(self, k: int, x: Tensor) -> tuple[Tensor, Tensor]:
        """x before any floor -> v (B, *V) in the units of component k, and log|det dv/dx| (B,)."""
        model = self._component(k)
        v, ladj = _from_line(model.preprocess, x)
        return (v if model.model_event.counted else v.to(self.dtype)), ladj

    def _from_component(self, k: int, v: Tensor) -> Tensor:
        """v (B, *V) of component k -> u (B, *U)."""
        u, _ = _from_line(self.preprocess, _to_line(self._component(k).preprocess, v))
        return u if self.model_event.counted else u.to(self.dtype)

    def _context_for(self, k: int, context: Tensor | None) -> Tensor | None:
        """The context in the model units of the whole -> embedded by component k."""
        if context is None or self.context_preprocess is None:
            return None
        embedded: Tensor = self._component(k)._embed_rows(self.context_preprocess.to_data(context))
        return embedded

    def _draw_component(self, k: int, n: int, context: Tensor | None, rows: Rows) -> Tensor:
        """(n, *V) draws of component k, by its own sampler, in its units."""
        model = self._component(k)
        given = self._context_for(k, context)
        return model.default_sampler().run(model, n, context=given, generator=rows).samples

    @property
    def strokes(self) -> float:
        """Of all components together."""
        return sum(self._component(k).strokes for k in range(len(self.models)))


def one_each(numbers: Sequence[float] | None, count: int, what: str) -> Tensor:
    """(K,) numbers, 1 unless given.

    Raises:
        ValueError: another number of them, or what is no number.
    """
    found = torch.ones(count) if numbers is None else torch.as_tensor(tuple(numbers)).float()
    if found.shape != (count,) or not bool(found.isfinite().all()):
        raise ValueError(f"expected {count} finite {what}, one for each model, got {numbers}")
    return found


def _built(models: Sequence[str | Model], event: Event, context_event: Event | None) -> list[Model]:
    built = [lookup("model", m)(event, context_event) if isinstance(m, str) else m for m in models]
    if not built:
        raise ValueError("expected at least one model, got none")
    for model in built:
        if not isinstance(model, Model) or (model.event, model.context_event) != (event, context_event):
            got = f"{model.event} given {model.context_event}" if isinstance(model, Model) else type(model).__name__
            raise ValueError(f"expected models of {event} given {context_event}, got one of {got}")
    return built


def _unusual(model: Any) -> bool:
    """Whether a model's units are other than its class would build."""
    return to_json(model.preprocess) != to_json(model.preprocessing(model.event))


def _maps(preprocess: Preprocessing) -> list[Any]:
    """The invertible maps: what comes after the noise."""
    maps = list(preprocess.maps) if isinstance(preprocess, Chain) else [preprocess]
    return maps[1:] if isinstance(maps[0], Dequantise) else maps


def _to_line(preprocess: Preprocessing, u: Tensor) -> Tensor:
    """Data units before any floor."""
    for m in reversed(_maps(preprocess)):
        u = m.to_data(u)
    return u


def _from_line(preprocess: Preprocessing, x: Tensor) -> tuple[Tensor, Tensor]:
    """Model units, without noise, and the log-determinant (B,)."""
    total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for m in _maps(preprocess):
        x, ladj = m.to_model(x)
        total = total + ladj
    return x, total
