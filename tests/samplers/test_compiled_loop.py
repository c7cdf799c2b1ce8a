"""The loop as one graph: the same draws, compiled once for each number of rows, eager where it cannot be."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import seeded
from fairway.models.diffusion.edm import EDM
from fairway.samplers import compiled_loop
from fairway.samplers.compiled_loop import CompiledLoop
from fairway.samplers.ddim import DDIM, Ancestral
from fairway.samplers.dpm_solver import DPMSolver
from fairway.samplers.heun import Heun


def model_of(**options):
    with seeded(0):
        model = EDM(Event((2,)), hidden=(8,), **options)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return model.double().eval()


@pytest.fixture
def graphs(monkeypatch):
    """How many graphs are made; dynamo alone, no code is written."""
    made, compiler = [], torch.compile

    def counted(function, **options):
        made.append(function)
        return compiler(function, backend="eager", **options)

    monkeypatch.setattr(torch, "compile", counted)
    return made


@pytest.mark.parametrize("sampler", [DDIM(4), Ancestral(4), DPMSolver(4), Heun(3)])
def test_draws_are_the_samplers_own(sampler, graphs):
    model, loop = model_of(), CompiledLoop(sampler)
    found, wanted = (model.draw(70, sampler=s, generator=1) for s in (loop, sampler))
    torch.testing.assert_close(found.samples, wanted.samples)
    assert found.evaluations == wanted.evaluations
    assert len(graphs) == 1


def test_one_graph_for_each_number_of_rows(graphs):
    model, loop = model_of(), CompiledLoop(DDIM(3))
    for n in (5, 5, 7, 5):
        model.sample(n, sampler=loop, generator=0)
    assert len(graphs) == 2


def test_weights_are_not_frozen_in(graphs):
    model, loop = model_of(), CompiledLoop(DDIM(3))
    before = model.sample(5, sampler=loop, generator=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    after = model.sample(5, sampler=loop, generator=0)
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, model.sample(5, sampler=DDIM(3), generator=0))


def test_contexts_are_arguments(graphs):
    model, loop = model_of(context_event=Event((), "category", levels=3)), CompiledLoop(DDIM(3))
    for label in (0, 2):
        found = model.sample(4, context=label, sampler=loop, generator=0)
        torch.testing.assert_close(found, model.sample(4, context=label, sampler=DDIM(3), generator=0))
    assert len(graphs) == 1


def test_a_trace_is_eager(graphs):
    model = model_of()
    assert model.draw(4, sampler=CompiledLoop(DDIM(3)), generator=0, trace=True).trace.shape == (4, 4, 2)
    assert not graphs


class Looking(DDIM):
    """Looks at what it sees: no graph can."""

    def rule(self, predict, noise, schedule):
        step = super().rule(predict, noise, schedule)
        return lambda u, here, there: step(u, here, there) if float(u.detach().sum()) < 1e9 else u


def test_what_cannot_be_traced_runs_eagerly_and_says_so():
    model, loop = model_of(), CompiledLoop(Looking(3))
    with pytest.warns(UserWarning, match="the loop runs eagerly"):
        found = model.sample(4, sampler=loop, generator=0)
    torch.testing.assert_close(found, model.sample(4, sampler=DDIM(3), generator=0))
    model.sample(4, sampler=loop, generator=0)  # says it once


def test_no_compiler_no_graph(monkeypatch):
    monkeypatch.setattr(compiled_loop, "cannot_compile", lambda: "no C++ compiler was found")
    with pytest.warns(UserWarning, match="no C"):
        model_of().sample(4, sampler=CompiledLoop("ddim"), generator=0)


@pytest.mark.parametrize("sampler", ["probability_flow", "guided"])
def test_other_samplers_are_refused(sampler):
    with pytest.raises(ValueError, match="denoising sampler"):
        CompiledLoop(sampler)


@pytest.mark.timeout(300)
def test_compiled_code_draws_the_same():
    if compiled_loop.cannot_compile():
        pytest.skip("no compiler")
    model = model_of()
    found = model.sample(6, sampler=CompiledLoop(DDIM(2)), generator=0)
    torch.testing.assert_close(found, model.sample(6, sampler=DDIM(2), generator=0))
