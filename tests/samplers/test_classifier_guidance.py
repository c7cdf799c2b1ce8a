"""Bayes' rule with the exact classifier is the conditional law; wrong classifiers are refused."""

import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.models.flow.real_nvp import RealNVP
from fairway.samplers.classifier_guidance import ClassifierGuided
from fairway.samplers.dpm_solver import DPMSolver
from fairway.samplers.ode import ProbabilityFlow


@pytest.mark.parametrize("schedule", ["vp", "sub_vp", "ve", "edm", "linear", "cosine"])
def test_the_exact_posterior_at_scale_one_gives_the_conditional_answers(three_classes, label_rows, schedule):
    model, n = three_classes(schedule), 40
    t = torch.linspace(0.02, 0.99, n).double()
    alpha, sigma = (c.unsqueeze(1) for c in model.schedule(t))
    u = (alpha**2 + sigma**2).sqrt() * Rows(0, n, dtype=torch.float64).normal(2)
    for label in range(3):
        view = ClassifierGuided(model.posterior, label).view(model)
        for hook in ("_score_at", "_denoise", "_velocity"):
            wanted = getattr(model, hook)(u, t, label_rows(label, n))
            torch.testing.assert_close(getattr(view, hook)(u, t), wanted, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("sampler", [DPMSolver(60), ProbabilityFlow(60)])
@pytest.mark.parametrize("schedule", ["linear", "sub_vp"])
def test_draws_are_those_of_the_class(three_classes, schedule, sampler):
    """4,000 draws; of the linear schedule from pure noise, where the classifier says nothing."""
    model = three_classes(schedule)
    guided = ClassifierGuided(model.posterior, 2, sampler=sampler)
    draws = guided.run(model, 4_000, context=None, generator=Rows(0, 4_000, dtype=torch.float64))
    torch.testing.assert_close(draws.samples.mean(0), model.means[2], atol=0.05, rtol=0)
    wanted = torch.tensor([[0.3, -0.1], [-0.1, 0.3]]).double()
    torch.testing.assert_close(draws.samples.T.cov(), wanted, atol=0.04, rtol=0)
    assert torch.isfinite(draws.samples).all()


def test_a_pass_and_a_gradient_are_counted_and_an_interval_saves_them(three_classes):
    model = three_classes("edm")
    run = {"context": None, "generator": Rows(0, 5, dtype=torch.float64)}
    assert ClassifierGuided(model.posterior, 0, sampler=DPMSolver(10)).run(model, 5, **run).evaluations == 30
    some = ClassifierGuided(model.posterior, 0, 2.0, DPMSolver(10), (0.1, 1.0)).run(model, 5, **run)
    assert 10 < some.evaluations < 30


def test_scale_zero_is_the_models_own_draw(three_classes):
    model, rows = three_classes(), lambda: Rows(0, 9, dtype=torch.float64)
    own = DPMSolver().run(model, 9, context=None, generator=rows())
    guided = ClassifierGuided(model.posterior, 0, 0.0).run(model, 9, context=None, generator=rows())
    assert torch.equal(own.samples, guided.samples)


def test_what_is_wrong_is_told(three_classes):
    model = three_classes()
    for label in (-1, 1.5, True):
        with pytest.raises(ValueError, match="expected a label"):
            ClassifierGuided(model.posterior, label)
    with pytest.raises(ValueError, match="interval"):
        ClassifierGuided(model.posterior, 0, interval=(2.0, 1.0))
    run = {"context": None, "generator": Rows(0, 5, dtype=torch.float64)}
    with pytest.raises(ValueError, match=r"logits of shape \(5, K\) with K > label=3"):
        ClassifierGuided(model.posterior, 3).run(model, 5, **run)
    with pytest.raises(CapabilityError, match="denoise"):
        RealNVP(Event((3,)), transforms=1, hidden=(4,)).sample(2, sampler=ClassifierGuided(model.posterior, 0))
