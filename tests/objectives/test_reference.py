"""The first stage of a fit with a reference of its own: that model, by its own principle, on the same rows."""

import math

import pytest
import torch

import fairway.models.energy.energy as energy
from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.classical.mixture import GMM
from fairway.models.energy.energy import EBM
from fairway.models.flow.real_nvp import RealNVP
from fairway.objectives.em import EM
from fairway.objectives.mle import MLE
from fairway.objectives.reference import ReferenceObjective, ReferenceSolver
from fairway.training.callbacks import Callback
from fairway.training.fit import fit


class Watch(Callback):
    """Steps taken by stage, and the whole model at the end of each."""

    def __init__(self):
        self.steps, self.ends = {}, []

    def on_step(self, run):
        self.steps[run.plan.stage] = run.step

    def on_end(self, run):
        self.ends.append({name: value.clone() for name, value in run.model.state_dict().items()})


def mixture():
    with seeded(0):
        return GMM(Event((2,)), components=2)


def tilted(reference):
    with seeded(1):
        return EBM(Event((2,)), hidden=(8,), reference=reference)


def two_clumps(n=400):
    side = (Rows(0, n).uniform() < 0.3).float() * 2 - 1
    return 4 * side.unsqueeze(1) + Rows(1, n).normal(2)


def test_a_solver_at_work_on_a_reference_is_the_solver_at_work_on_it():
    alone, within = mixture(), tilted(mixture())
    one, two = EM(), ReferenceSolver(EM())
    data = Batch(two_clumps())
    one.start(alone, data, Rows(0, 400))
    two.start(within, data, Rows(0, 400))
    while not one.done():
        assert not two.done()
        assert two.step(within, data) == one.step(alone, data)
    assert two.done()
    for name, value in alone.state_dict().items():
        assert torch.equal(within.reference.state_dict()[name], value)


def test_an_objective_at_work_on_a_reference_is_that_objective():
    with seeded(0):
        flow = RealNVP(Event((2,)), transforms=2, hidden=(8,))
    model, batch = tilted(flow), Batch(two_clumps(50))
    own, wrapped = MLE(), ReferenceObjective(MLE())
    own.setup(flow)
    wrapped.setup(model)
    wanted = own.loss(batch, flow, phase=Phase(), generator=Rows(0, 50))
    found = wrapped.loss(batch, model, phase=Phase(), generator=Rows(0, 50))
    assert torch.equal(found.total, wanted.total) and found.terms.keys() == wanted.terms.keys()
    assert wrapped.players(model) == {"model": flow}
    assert wrapped.optimisation_of("model") == own.optimisation_of("model")
    assert wrapped.batch_size == own.batch_size


@pytest.mark.parametrize("name", ["gmm", "real_nvp"])
def test_a_fit_has_two_stages_and_each_moves_its_own_part(name, monkeypatch):
    monkeypatch.setattr(energy, "REFERENCE_STEPS", 15)
    model, watch = tilted(name), Watch()
    states = [{key: value.clone() for key, value in model.state_dict().items()}]
    fit(model, two_clumps(), objective="nce", steps=10, validation=0, seed=0, callbacks=[watch])
    assert watch.steps[1] == 10 and (watch.steps[0] == 15 or name == "gmm")
    states += watch.ends
    for before, after, mover in ((*states[:2], "reference"), (*states[1:], "network")):
        moved = {key.partition(".")[0] for key in before if not torch.equal(before[key], after[key])}
        assert moved - {"preprocess"} == {mover}


def test_the_limit_of_a_solver_is_told():
    assert ReferenceSolver(EM(iterations=7)).arguments["iterations"] == 7


def test_the_reference_sees_the_rows_in_model_units():
    """Far from 0 and of a scale of its own: q is fitted where f is, so log q is more than a Gaussian's there."""
    x = 1000 + 40 * two_clumps()
    model = fit(tilted(mixture()), x, objective="nce", steps=1, seed=0)
    u, _ = model._to_model(x)
    with torch.no_grad():
        normal = -0.5 * u.square().sum(1) - math.log(2 * math.pi)
        assert float(model._log_reference(u).mean()) > float(normal.mean()) + 0.1
        assert float(model._births(Rows(0, 1000)).std()) == pytest.approx(1, abs=0.1)
