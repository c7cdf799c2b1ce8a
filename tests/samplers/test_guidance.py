"""Guidance asks the model at a scale, and says what it cost."""

import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.random import Rows, seeded
from fairway.models.diffusion.edm import EDM
from fairway.models.diffusion.mixture import MixtureDenoiser
from fairway.models.flow.real_nvp import RealNVP
from fairway.models.flow.tarflow import TarFlow
from fairway.networks.time_mlp import TimeMLP
from fairway.samplers.annealed_langevin import AnnealedLangevin
from fairway.samplers.ddim import DDIM, Ancestral
from fairway.samplers.dpm_solver import DPMSolver, DPMSolverSDE
from fairway.samplers.guidance import Guided
from fairway.samplers.heun import Heun
from fairway.samplers.ode import ProbabilityFlow
from fairway.samplers.reverse_sde import PredictorCorrector, ReverseSDE

SAMPLERS = {
    "ddim": lambda: DDIM(6),
    "ancestral": lambda: Ancestral(6),
    "heun": lambda: Heun(6),
    "dpm_solver": lambda: DPMSolver(6),
    "dpm_solver_sde": lambda: DPMSolverSDE(6),
    "reverse_sde": lambda: ReverseSDE(6),
    "predictor_corrector": lambda: PredictorCorrector(6),
    "annealed_langevin": lambda: AnnealedLangevin(3, 2),
    "probability_flow": lambda: ProbabilityFlow(6),
}


@pytest.fixture(scope="module")
def model():
    with seeded(0):
        flow = TarFlow(Event((3,)), Event((2,)), transforms=2, width=8, layers=1, heads=2).double().eval()
        for parameter in flow.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return flow


def test_beyond_one_every_token_is_asked_twice(model):
    context = torch.ones(2)
    cost = {s: model.draw(2, context=context, sampler=Guided(s), generator=0).evaluations for s in (0.0, 1.0, 1.5)}
    assert cost == {0.0: 3, 1.0: 3, 1.5: 6}


def test_at_zero_the_context_does_not_matter(model):
    here, there = (
        model.sample(4, context=c, sampler=Guided(0.0), generator=0) for c in (torch.ones(2), -torch.ones(2))
    )
    assert torch.equal(here, there)
    guided = [model.sample(4, context=torch.ones(2), sampler="guided", generator=0) for _ in range(2)]
    assert torch.equal(*guided)


def test_what_has_no_guidance_and_what_starts_somewhere_is_refused(model):
    with pytest.raises(CapabilityError, match="guidance"):
        RealNVP(Event((3,)), transforms=1, hidden=(4,)).sample(2, sampler=Guided())
    with pytest.raises(ValueError, match="expected no init"):
        model.sample(1, context=torch.ones(2), sampler=Guided(), init=torch.zeros(1, 3))


@pytest.mark.parametrize("wrong", [-0.1, float("inf"), True])
def test_a_scale_is_a_number_of_at_least_zero(wrong):
    with pytest.raises(ValueError, match="guidance scale"):
        Guided(wrong)


@pytest.mark.parametrize("scale", [0.5, 2.0, 7.0])
@pytest.mark.parametrize("schedule", ["vp", "linear", "edm"])
def test_every_answer_lies_on_the_line_through_the_two(three_classes, label_rows, schedule, scale):
    model, n = three_classes(schedule), 30
    u, t, label = 2 * Rows(0, n, dtype=torch.float64).normal(2), torch.linspace(0.05, 1, n).double(), label_rows(1, n)
    view = Guided(scale).view(model)
    for hook in ("_denoise", "_velocity", "_score_at"):
        ask = getattr(model, hook)
        own, nothing = ask(u, t, label), ask(u, t)
        torch.testing.assert_close(getattr(view, hook)(u, t, label), nothing + scale * (own - nothing))
    assert view.extra == 3


@pytest.mark.parametrize("schedule", ["vp", "linear", "edm"])
def test_the_answers_of_a_view_agree_with_one_another(three_classes, label_rows, schedule):
    """u = alpha D + sigma eps, score = -eps / sigma, v = alpha' D + sigma' eps."""
    model, n = three_classes(schedule), 30
    u, t, label = (
        2 * Rows(0, n, dtype=torch.float64).normal(2),
        torch.linspace(0.05, 0.99, n).double(),
        label_rows(2, n),
    )
    view = Guided(3.0).view(model)
    (alpha, sigma), slopes = (
        [c.unsqueeze(1) for c in pair] for pair in (model.schedule(t), model.schedule.derivatives(t))
    )
    data = view._denoise(u, t, label)
    eps = (u - alpha * data) / sigma
    torch.testing.assert_close(view._score_at(u, t, label), -eps / sigma)
    torch.testing.assert_close(view._velocity(u, t, label), slopes[0] * data + slopes[1] * eps)


@pytest.mark.parametrize("name", SAMPLERS)
def test_any_sampler_of_denoisers_is_guided(three_classes, name):
    """Scale 1 is the model's own draw bit for bit, 0 the unconditional one, and beyond each answer is asked twice."""
    model, unconditional = three_classes("cosine"), three_classes("cosine")
    unconditional.context_event = unconditional.context_preprocess = None
    draws = {s: model.draw(20, context=1, sampler=Guided(s, SAMPLERS[name]()), generator=0) for s in (0.0, 1.0, 3.0)}
    own = model.draw(20, context=1, sampler=SAMPLERS[name](), generator=0)
    assert torch.equal(draws[1.0].samples, own.samples)
    assert torch.equal(draws[0.0].samples, unconditional.sample(20, sampler=SAMPLERS[name](), generator=0))
    assert not torch.allclose(draws[3.0].samples, own.samples)
    model.calls = 0
    again = model.draw(20, context=1, sampler=Guided(3.0, SAMPLERS[name]()), generator=0)
    assert torch.equal(again.samples, draws[3.0].samples)
    assert again.evaluations == model.calls == 2 * own.evaluations


def test_scale_one_draws_the_class(three_classes):
    """5,000 draws of class 1 by the registered name of a sampler: its mean and covariance."""
    model = three_classes()
    draws = model.sample(5_000, context=1, sampler=Guided(1.0, "dpm_solver"), generator=0)
    torch.testing.assert_close(draws.mean(0), model.means[1], atol=0.04, rtol=0)
    torch.testing.assert_close(draws.T.cov(), torch.diag(torch.tensor([0.2, 0.4]).double()), atol=0.03, rtol=0)


def test_guided_draws_are_more_typical_of_their_class(three_classes):
    model, zero = three_classes(), torch.zeros(500, dtype=torch.float64)
    means = []
    for scale in (0.0, 1.0, 2.0, 4.0):
        draws = model.sample(500, context=1, sampler=Guided(scale), generator=0)
        means.append(float(model.posterior(draws, zero + 0.01).softmax(1)[:, 1].mean()))
    assert means == sorted(means) and means[0] < 0.5 and means[-1] > 0.97, means


def test_guidance_pushes_less_and_costs_less_within_an_interval(three_classes):
    """Outside of it the model's own answers stand, bit for bit."""
    model = three_classes("edm")
    own = model.draw(50, context=1, sampler=Heun(), generator=0)
    for outside in [(81.0, float("inf")), (0.0, 0.001)]:
        draws = model.draw(50, context=1, sampler=Guided(4.0, interval=outside, sampler=Heun()), generator=0)
        assert torch.equal(draws.samples, own.samples) and draws.evaluations == own.evaluations
    whole = model.draw(50, context=1, sampler=Guided(4.0, sampler=Heun()), generator=0)
    every = model.draw(50, context=1, sampler=Guided(4.0, Heun(), (0.0, float("inf"))), generator=0)
    assert torch.equal(whole.samples, every.samples)
    some = model.draw(50, context=1, sampler=Guided(4.0, Heun(), (0.3, 3.0)), generator=0)
    assert own.evaluations < some.evaluations < whole.evaluations
    assert not torch.equal(some.samples, whole.samples)


def test_what_cannot_be_guided_is_told_why(three_classes, model):
    unconditional = MixtureDenoiser(torch.ones(1), torch.zeros(1, 2), torch.eye(2).unsqueeze(0))
    with pytest.raises(CapabilityError, match="MixtureDenoiser cannot be guided: it has no context"):
        unconditional.sample(2, sampler=Guided())
    kept = EDM(Event((2,)), Event((2,)), network=TimeMLP(2, 2, (8,)))
    with pytest.raises(CapabilityError, match="never dropped"):
        kept.sample(2, context=torch.ones(2), sampler=Guided())
    with pytest.raises(CapabilityError, match="direct needs"):
        three_classes().sample(2, context=0, sampler=Guided(2.0, "direct"))
    with pytest.raises(ValueError, match="draws by itself"):
        model.sample(2, context=torch.ones(2), sampler=Guided(2.0, "ddim"))


def test_a_trained_denoiser_follows_its_label_more(three_classes):
    """300 steps on labelled toys, a tenth of the labels dropped: the exact posterior of the label goes up."""
    oracle, labels = three_classes(), torch.arange(1_500) % 3
    x = oracle.sample(1, context=labels, generator=0)[:, 0].float()
    with seeded(0):
        network = TimeMLP(2, 3, (64, 64), context_dropout=0.1)
        edm = EDM(Event((2,)), Event((), "category", levels=3), network=network)
    edm.fit(x, context=labels, steps=300)
    means = []
    for scale in (0.0, 1.0, 3.0):
        draws = edm.sample(400, context=1, sampler=Guided(scale), generator=0).double()
        means.append(float(oracle.posterior(draws, torch.full((400,), 0.01).double()).softmax(1)[:, 1].mean()))
    assert means[0] < means[1] - 0.2 and means[1] + 0.02 < means[2], means
