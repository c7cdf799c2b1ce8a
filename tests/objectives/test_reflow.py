"""One reflow straightens paths, so that one step of Euler's rule is a sample."""

import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.metrics.divergence import wasserstein
from fairway.models.classical.gaussian import Gaussian
from fairway.models.diffusion.flow_matching import FlowMatching
from fairway.models.diffusion.interpolant import Interpolant
from fairway.models.diffusion.mixture import MixtureDenoiser
from fairway.objectives.reflow import Reflow, straightness
from fairway.samplers.ode import ProbabilityFlow
from fairway.training.fit import fit

MEANS = torch.tensor([[-1.2, 0.4], [1.2, 0.4], [0.0, -1.0]])


def exact(schedule="linear"):
    """The flow of a mixture, in closed form."""
    spread = 0.04 * torch.eye(2).repeat(3, 1, 1)
    return MixtureDenoiser(torch.ones(3), MEANS, spread, schedule=schedule, prediction="velocity")


def drawn(n, seed):
    rows = Rows(seed, n)
    return MEANS[rows.integers(3)] + 0.2 * rows.normal(2)


@pytest.fixture(scope="module")
def student():
    objective = Reflow(exact(), pairs=2000)
    return fit(
        "flow_matching", drawn(2000, 0), objective=objective, preprocess=False, hidden=(64, 64), steps=500, seed=0,
        batch_size=256, validation=0, compile="off",
    )  # fmt: skip


def pairs_of(model, n=1000):
    eps = Rows(5, n).normal(2)
    rows = Rows(0, n)
    return ProbabilityFlow(50).run(model, n, context=None, generator=rows, init=eps).samples, eps


def test_paths_are_straighter(student):
    before, after = (straightness(model, *pairs_of(model)) for model in (exact(), student))
    assert before > 0.3 and after < 0.1 * before


def test_one_step_samples_are_nearer_to_the_data(student):
    once, fresh = ProbabilityFlow(1, "euler"), drawn(500, 8)
    before, after = (
        wasserstein(model.sample(500, sampler=once, generator=1), fresh, order=2).value for model in (exact(), student)
    )
    assert before > 0.6 and after < 0.5 * before


def test_pairs_are_the_teacher_s_flow_in_the_student_s_units():
    with seeded(0):
        teacher, model, objective = exact(), FlowMatching(Event((2,)), hidden=(8,)), Reflow(exact(), pairs=50)
        model.preprocess.fit(100 + 10 * drawn(500, 0))
        objective.start(model, drawn(4, 0))
    assert objective.data.shape == objective.noise.shape == (50, 2)
    x = teacher.sample(50, init=objective.noise, sampler=ProbabilityFlow(25))
    torch.testing.assert_close(model._to_data(objective.data).float(), x, atol=1e-4, rtol=1e-5)
    assert {"data", "noise"} == set(objective.state_dict())


def test_pairs_follow_the_seed_of_the_fit():
    def made(seed):
        objective = Reflow(exact(), pairs=8, strokes=2)
        with seeded(seed):
            objective.start(FlowMatching(Event((2,)), hidden=(8,)), drawn(4, 0))
        return objective.noise

    assert torch.equal(made(0), made(0)) and not torch.equal(made(0), made(1))


def test_a_tenth_of_the_pairs_is_kept_for_evaluations():
    model, objective = FlowMatching(Event((2,)), hidden=(8,)), Reflow(exact(), pairs=100, strokes=2)
    objective.start(model, drawn(4, 0))
    objective.data[90:] += 1000

    def loss():
        found = objective.loss(Batch(drawn(400, 0)), model, phase=Phase(), generator=Rows(0, 400))
        return float(found.total.detach())

    model.train()
    assert loss() < 100
    model.eval()
    assert loss() > 1e5


def test_the_teacher_is_not_taught():
    teacher = FlowMatching(Event((2,)), hidden=(8,))
    fitted = fit(teacher, drawn(64, 0), objective=Reflow(teacher, pairs=64, strokes=2), steps=3, validation=0)
    assert fitted is teacher
    objective = Reflow(teacher, pairs=64)
    assert objective.teacher is not teacher and not list(objective.parameters())


def test_a_source_of_points_can_be_straightened_too():
    teacher = Interpolant(Event((2,)), source=drawn(20, 0), hidden=(8,))
    model, objective = Interpolant(Event((2,)), source=drawn(20, 0), hidden=(8,)), Reflow(teacher, pairs=20, strokes=2)
    objective.start(model, drawn(4, 0))
    assert float(torch.cdist(objective.noise, drawn(20, 0)).min(1).values.max()) < 0.5


def test_what_does_not_fit_is_refused():
    model = FlowMatching(Event((2,)), hidden=(8,))
    labelled = FlowMatching(Event((2,)), Event((), "category", levels=2), hidden=(8,))
    with pytest.raises(ValueError, match="expected teacher="):
        Reflow().check(model)
    with pytest.raises(CapabilityError, match="velocity"):
        Reflow(Gaussian(Event((2,)))).check(model)
    with pytest.raises(ValueError, match="expected a teacher of"):
        Reflow(FlowMatching(Event((3,)), hidden=(8,))).check(model)
    with pytest.raises(ValueError, match="no context"):
        Reflow(labelled).check(labelled)
    with pytest.raises(ValueError, match="law at t = 1"):
        Reflow(exact("ve"), pairs=16, strokes=2).start(model, drawn(4, 0))
    with pytest.raises(ValueError, match="at least 1"):
        Reflow(exact(), pairs=0)
