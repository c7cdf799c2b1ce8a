"""Score matching with its trace in full: by hand, as the mean of the sliced one, and at its minimum."""

import pytest
import torch
from torch import nn

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.energy.energy import EBM
from fairway.models.gan.gan import GAN
from fairway.objectives.score_matching import MOST, ScoreMatching
from fairway.objectives.sliced_score_matching import SlicedScoreMatching

COVARIANCE = torch.tensor([[1.0, 0.4, 0.0], [0.4, 0.7, -0.2], [0.0, -0.2, 0.5]], dtype=torch.float64)


class Bowl(nn.Module):
    """f(u) with f(u) - |u|^2 / 2 = -(u - m)' P (u - m) / 2: the energy model is N(m, P^-1)."""

    def __init__(self, mean, precision):
        super().__init__()
        self.mean, self.precision = nn.Parameter(mean.clone()), nn.Parameter(precision.clone())

    def forward(self, u):
        rest = u - self.mean
        return ((u.square() - rest * (rest @ self.precision)).sum(1) / 2).unsqueeze(1)


def gaussian(mean, precision):
    return EBM(Event((3,)), network=Bowl(mean, precision)).double()


def perceptron(event=Event((3,)), context=None):  # noqa: B008
    with seeded(0):
        return EBM(event, context, hidden=(8, 8)).double()


def data(n, seed=0):
    return Rows(seed, n, dtype=torch.float64).normal(3) @ torch.linalg.cholesky(COVARIANCE).mT + 0.5


def loss(model, u, objective=None, context=None, weight=None):
    objective = objective or ScoreMatching()
    objective.setup(model)
    return objective.loss(Batch(u, context, weight), model, phase=Phase(), generator=Rows(1, len(u), dtype=u.dtype))


def test_of_a_gaussian_by_hand():
    """tr(ds/du) = -tr P and |s|^2 = |P (u - m)|^2; per entry, weighted."""
    mean, precision, u = torch.tensor([0.1, 0.2, 0.3]).double(), torch.linalg.inv(COVARIANCE), data(20)
    weight = torch.arange(20.0).double()
    found = loss(gaussian(mean, precision), u, weight=weight)
    norm = (weight @ ((u - mean) @ precision).square().sum(1) / weight.sum()) / 2
    assert float(found.terms["trace"].detach()) == pytest.approx(float(-precision.trace() / 3), rel=1e-12)
    assert float(found.terms["norm"].detach()) == pytest.approx(float(norm / 3), rel=1e-12)


def test_the_trace_is_that_of_the_jacobian_also_on_pictures_and_given_a_context():
    model = perceptron(Event((1, 2, 2)), Event((2,)))
    u, context = Rows(0, 6, dtype=torch.float64).normal(1, 2, 2), Rows(1, 6, dtype=torch.float64).normal(2)
    traces = []
    for row, given in zip(u, context, strict=True):
        hessian = torch.autograd.functional.hessian(
            lambda v, c=given: model._log_unnorm(v.reshape(1, 1, 2, 2), c.unsqueeze(0))[0], row.flatten()
        )
        traces.append(hessian.trace())
    found = loss(model, u, context=context).terms["trace"]
    assert float(found.detach()) == pytest.approx(float(torch.stack(traces).mean() / 4), rel=1e-10)


def test_it_is_the_mean_of_the_sliced_one_over_directions():
    model, u = perceptron(), data(30)
    whole = loss(model, u)
    sliced = loss(model, u, SlicedScoreMatching(directions=500))
    assert float(sliced.terms["norm"].detach()) == pytest.approx(float(whole.terms["norm"].detach()), rel=1e-12)
    one = torch.stack([loss(model, u, SlicedScoreMatching(directions=1)).terms["trace"].detach()])
    trace = float(whole.terms["trace"].detach())
    assert float(sliced.terms["trace"].detach()) == pytest.approx(trace, abs=0.02)
    assert abs(float(one[0]) - trace) > 1e-4  # one direction is not enough


def test_its_minimum_over_gaussians_is_that_of_the_likelihood():
    """On any rows: at their mean and the inverse of their covariance the gradient is 0, and all ways lead up."""
    u = data(200)
    mean, precision = u.mean(0), torch.linalg.inv(torch.cov(u.T, correction=0))
    model = gaussian(mean, precision)
    best = loss(model, u).total
    slopes = torch.autograd.grad(best, list(model.network.parameters()))
    assert all(float(slope.abs().max()) < 1e-12 for slope in slopes)
    for seed in range(6):
        way = Rows(seed, 3, dtype=torch.float64)
        shift, turn = way.normal() * 0.05, way.normal(3) * 0.05
        assert float(loss(gaussian(mean + shift, precision), u).total.detach()) > float(best.detach())
        assert float(loss(gaussian(mean, precision + turn + turn.mT), u).total.detach()) > float(best.detach())


def test_nothing_is_left_to_chance():
    model, u = perceptron(), data(10)
    first, other = (ScoreMatching().loss(Batch(u), model, phase=Phase(), generator=Rows(s, 10)).total for s in (0, 1))
    assert torch.equal(first, other)


def test_too_many_dimensions_are_sent_to_slices():
    ScoreMatching().setup(EBM(Event((MOST,)), hidden=(4,)))
    with pytest.raises(ValueError, match=r"at most 32 dimensions .* got 33: take sliced_score_matching"):
        ScoreMatching().setup(EBM(Event((MOST + 1,)), hidden=(4,)))


def test_a_model_without_a_score_is_refused():
    with pytest.raises(CapabilityError, match=r"objective score_matching needs a model that answers 'score'; gan"):
        ScoreMatching().check(GAN(Event((2,)), hidden=(4,)))
