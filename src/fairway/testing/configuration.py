"""Clauses on what a model is made of: configuration, weights, copies, parts, and what it refuses.

The constructor's signature is the configuration: JSON and weights rebuild the same model, without a line of code for
it. Whatever a model cannot answer it refuses in words: a ValueError that says what was expected, a CapabilityError
that says what it can be asked instead.
"""

import copy
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import (
    CapabilityError,
    HasBound,
    HasConditional,
    HasDecoder,
    HasEnergy,
    HasLatent,
    HasLogProb,
    HasMarginal,
    HasScore,
)
from fairway.core.config import from_json, signature, to_json
from fairway.core.event import KINDS, Event
from fairway.core.model import Case
from fairway.core.objective import Objective, Solver
from fairway.core.sampler import Sampler
from fairway.testing.check import check, expect, expect_close
from fairway.testing.data import tiny_data
from fairway.testing.subject import Subject, build
from fairway.training.options import Options

QUESTIONS: dict[type, Callable[[Any, Tensor, Any], Any]] = {
    HasLogProb: lambda m, x, c: m.log_prob(x, c),
    HasEnergy: lambda m, x, c: m.energy(x, c),
    HasScore: lambda m, x, c: m.score(x, c),
    HasBound: lambda m, x, c: m.bound(x, c, generator=0),
    HasLatent: lambda m, x, c: m.encode(x, c),
    HasDecoder: lambda m, x, c: m.decode(x, c),
    HasMarginal: lambda m, x, c: m.log_marginal(x, torch.ones(m.event.shape, dtype=torch.bool), c),
    HasConditional: lambda m, x, c: m.complete(x, torch.ones(m.event.shape, dtype=torch.bool), 1, context=c),
}


def fingerprint(s: Subject, model: Any) -> Tensor:
    """Numbers that change when a model does: some samples and, where it answers, densities or bounds."""
    x, context = s.rows(8)
    parts = [model.sample(4, context=s.one_context(), generator=0).double().flatten()]
    for capability in (HasLogProb, HasBound):
        if model.supports(capability):
            parts.append(QUESTIONS[capability](model, x, context).double().detach())
    return torch.cat(parts)


def expect_error(
    kind: type[Exception], says: str, when: str, ask: Callable[..., Any], *given: Any, **named: Any
) -> None:
    """The call ask(*given, **named) raises this error with these words in it, and no other."""
    try:
        ask(*given, **named)
    except kind as error:
        expect(says in str(error), f"{when}: expected an error with {says!r}, got {str(error)!r}")
    except Exception as error:
        expect(False, f"{when}: expected a {kind.__name__}, got {type(error).__name__}: {error}")
    else:
        expect(False, f"{when}: expected a {kind.__name__}, got an answer")


@contextmanager
def named(model_class: type) -> Iterator[None]:
    """Lend a stranger's class a name in the table, so that a folder can name it."""
    from fairway.models.registry import models

    name = f"contract_{model_class.__name__}"
    if models.name_of(model_class) is not None:
        yield
        return
    models.register(name, model_class)
    try:
        yield
    finally:
        models._table.pop(name)
        models._objects.pop(name)


@check(states=("redrawn",))
def names_its_sources_and_cases(s: Subject) -> None:
    cls = type(s.model)
    expect(isinstance(cls.cites, tuple) and len(cls.cites) > 0, 'expected cites = ("key", ...), got none')
    expect(set(cls.accepts) <= set(KINDS), f"expected accepts among {KINDS}, got {cls.accepts}")
    expect(s.model.likelihood in ("exact", "numerical", "estimate", "none"), f"likelihood is {s.model.likelihood!r}")
    expect(bool(cls.__doc__), "expected a docstring")


@check(states=("redrawn",))
def configuration_round_trip(s: Subject) -> None:
    external = {key: value for key, value in s.model.arguments.items() if to_json(value, key) == {"external": key}}
    written = json.dumps({key: to_json(value, key) for key, value in s.model.arguments.items()})
    arguments = {key: from_json(value, external) for key, value in json.loads(written).items()}
    again = type(s.model)(**arguments)
    expect(
        json.dumps({key: to_json(value, key) for key, value in again.arguments.items()}) == written,
        f"the configuration changed on its way through JSON: {written}",
    )
    shapes = {key: value.shape for key, value in s.model.named_parameters()}
    expect({key: value.shape for key, value in again.named_parameters()} == shapes, "rebuilt with other parameters")


@check(states=("redrawn",))
def options_are_not_the_fits(s: Subject) -> None:
    own = {f.name for f in fields(Options)}
    taken = sorted(own & set(signature(type(s.model))))  # an objective's are said with its prefix
    expect(not taken, f"the constructor has options that fit takes for itself: {', '.join(taken)}; rename them")


@check(states=("trained",))
def save_and_load_round_trip(s: Subject) -> None:
    external = {k: v for k, v in s.model.arguments.items() if to_json(v, k) == {"external": k}}
    with named(type(s.model)), tempfile.TemporaryDirectory() as folder:
        s.model.save(folder)
        loaded = type(s.model).load(folder, **external)
    expect(type(loaded) is type(s.model), f"loaded a {type(loaded).__name__}")
    expect_close(fingerprint(s, loaded), fingerprint(s, s.model), "after save and load", rtol=0, atol=0)


@check(states=("redrawn",))
def copies_are_independent(s: Subject) -> None:
    before = fingerprint(s, s.model)
    twin = copy.deepcopy(s.model)
    expect_close(fingerprint(s, twin), before, "a deep copy", rtol=0, atol=0)
    with torch.no_grad():
        for tensor in twin.state_dict().values():
            if tensor.is_floating_point():
                tensor.mul_(0.5)
    expect_close(fingerprint(s, s.model), before, "after its copy was changed", rtol=0, atol=0)


@check(states=("redrawn",))
def state_dict_round_trip(s: Subject) -> None:
    fresh = build(type(s.model), s.case, seed=5)
    fresh.load_state_dict(s.model.state_dict())
    expect_close(fingerprint(s, fresh), fingerprint(s, s.model), "after load_state_dict", rtol=0, atol=0)


@check(states=("redrawn",))
def default_parts_fit(s: Subject) -> None:
    learner, sampler = s.model.default_objective(), s.model.default_sampler()
    expect(isinstance(learner, Objective | Solver), f"default_objective() is a {type(learner).__name__}")
    expect(isinstance(sampler, Sampler), f"default_sampler() is a {type(sampler).__name__}")
    sampler.check(s.model)
    if isinstance(learner, Objective):
        learner.check(s.model)
    written = to_json(learner)
    expect(to_json(from_json(json.loads(json.dumps(written)))) == written, "the objective does not survive JSON")


@check(states=("redrawn",))
def takes_every_kind_it_accepts(s: Subject) -> None:
    ranges: dict[str, dict[str, Any]] = {"bounded": {"low": -1, "high": 3}, "integer": {"low": 2, "high": 5}}
    ranges.update(category={"levels": 3}, tokens={"levels": 3})
    for kind in type(s.model).accepts:
        event = Event(s.event.shape, kind, **ranges.get(kind, {}))
        model = build(type(s.model), Case(event, s.case.context_event, s.case.arguments))
        model.preprocess.fit(tiny_data(event, 64))
        if s.context is not None:
            model.context_preprocess.fit(s.context)
        event.check_data(model.sample(8, context=s.one_context(), generator=0), f"samples of a {kind} event")


@check(states=("redrawn",))
def refuses_other_kinds(s: Subject) -> None:
    ranges: dict[str, Any] = {"levels": 3, "low": 0, "high": 2}
    for kind in sorted(set(KINDS) - set(type(s.model).accepts)):
        event = Event(s.event.shape, kind, **ranges)  # type: ignore[arg-type]
        case = Case(event, s.case.context_event, s.case.arguments)
        expect_error(ValueError, kind, f"a {kind} event", build, type(s.model), case)


@check(states=("redrawn",))
def refuses_wrong_input(s: Subject) -> None:
    x, context = s.rows(3)
    wrong = torch.zeros(3, *x.shape[1:-1], x.shape[-1] + 1) if x.ndim > 1 else torch.zeros(3, 2)
    named = [(c, ask) for c, ask in QUESTIONS.items() if s.model.supports(c) and c is not HasDecoder]
    for capability, ask in named:
        name = capability.asks  # type: ignore[attr-defined]
        fixed = all(size is not None for size in s.event.shape)
        if fixed:
            expect_error(ValueError, "expected", f"{name}, wrong shape", ask, s.model, wrong, context)
        if not s.event.counted and not s.event.missing and capability not in (HasMarginal, HasConditional):
            holes = x.clone()
            holes.flatten()[1] = torch.nan
            expect_error(ValueError, "expected", f"{name}, NaN", ask, s.model, holes, context)
        other = None if context is not None else torch.zeros(3, 1)
        expect_error(ValueError, "expected", f"{name}, context", ask, s.model, x, other)
    for n in (0, -1, 2.0):
        expect_error(ValueError, "expected", f"sample({n})", s.sample, n)
    other = None if context is not None else torch.zeros(1)
    expect_error(ValueError, "expected", "sample, context", s.model.sample, 2, context=other)


@check(states=("redrawn",))
def refuses_what_it_cannot_answer(s: Subject) -> None:
    x, context = s.rows(2)
    for capability, ask in QUESTIONS.items():
        if not s.model.supports(capability):
            name = capability.asks  # type: ignore[attr-defined]
            expect_error(CapabilityError, "answers", name, ask, s.model, x, context)


@check(states=("trained",))
def works_in_single_precision(s: Subject) -> None:
    single = copy.deepcopy(s.model).float()
    draws = single.sample(16, context=s.one_context(), generator=0)
    expect(s.event.counted or draws.dtype == torch.float32, f"expected float32 samples, got {draws.dtype}")
    x, context = s.rows(32)
    if s.model.supports(HasLogProb):
        expect_close(single.log_prob(x, context), s.model.log_prob(x, context), "log_prob", rtol=2e-3, atol=2e-2)
    elif s.model.supports(HasBound):  # its noise is another in another precision
        expect(single.bound(x, context, generator=0).isfinite().all(), "the bound is not finite")


CHECKS = [
    names_its_sources_and_cases,
    configuration_round_trip,
    options_are_not_the_fits,
    save_and_load_round_trip,
    state_dict_round_trip,
    copies_are_independent,
    default_parts_fit,
    takes_every_kind_it_accepts,
    refuses_other_kinds,
    refuses_wrong_input,
    refuses_what_it_cannot_answer,
    works_in_single_precision,
]
