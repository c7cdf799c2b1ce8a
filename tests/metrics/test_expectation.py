"""Monte Carlo against closed forms, and errors that are what they say: independent, weighted and correlated draws."""

import math

import pytest
import torch

from fairway.core.event import Event
from fairway.core.sampler import Draws, Sampler
from fairway.metrics.expectation import expectation, expectations, mean, moment, variance
from fairway.models.autoregressive.made import MADE
from fairway.models.classical.gaussian import Gaussian
from fairway.samplers import MCMC, Langevin, Long


class Wide(Sampler):
    """Draws of N(0, 2^2) weighted towards N(0, 1), up to a constant."""

    def run(self, model, n, *, context, generator, init=None, trace=False):
        u = 2 * generator.normal(*model.model_event.shape)
        return Draws(u, log_weights=7.0 + (-0.5 * u.square() + 0.5 * (u / 2).square()).sum(1))


class Repeated(Sampler):
    """Every draw eight times in a row, and an ess that says so."""

    coupled = True

    def run(self, model, n, *, context, generator, init=None, trace=False):
        once = generator.normal(*model.model_event.shape)[: n // 8]
        draws = Draws(once.repeat_interleave(8, 0))
        draws.ess = torch.full(model.model_event.shape, n / 8)
        return draws


@pytest.fixture
def line(normal):
    """N(0, 1) on the line."""
    return normal(Event((1,))).eval()


def square(x):
    return x[:, 0].square()


def z_scores(model, sampler, repeats=200):
    found = [expectation(model, square, n=800, sampler=sampler, generator=seed) for seed in range(repeats)]
    return torch.tensor([(e.value - 1) / e.standard_error for e in found])


@pytest.mark.parametrize("sampler", [None, Wide(), Repeated()], ids=["independent", "weighted", "correlated"])
def test_the_standard_error_is_the_spread_of_the_error(line, sampler):
    z = z_scores(line, sampler)
    assert abs(float(z.mean())) < 0.35 and float(z.std()) == pytest.approx(1, abs=0.2)


def test_chains_are_believed_as_far_as_they_say(line):
    found = expectation(line, square, n=512, sampler=MCMC(Langevin(metropolis=True), Long()), generator=0)
    assert abs(found.value - 1) < 4 * found.standard_error
    assert 20 < found.info["ess"] < 512 and found.info["rhat"] < 1.3 and found.info["sampler"] == "MCMC"


def test_weights_change_the_law_that_is_averaged_over(line):
    plain = expectation(line, square, n=20_000, generator=0)
    weighted = expectation(line, square, n=20_000, sampler=Wide(), generator=0)
    assert abs(weighted.value - 1) < 4 * weighted.standard_error and abs(plain.value - 1) < 4 * plain.standard_error
    # E_q[w^2] / E_q[w]^2 = 2^2 / sqrt(2 * 2^2 - 1) for a proposal twice as wide
    assert weighted.info["ess"] == pytest.approx(20_000 * math.sqrt(7) / 4, rel=0.05)
    assert plain.info["ess"] == pytest.approx(20_000) and weighted.info["sampler"] == "Wide"


def test_mean_variance_and_moments_of_a_fitted_gaussian():
    model = Gaussian(Event((2,))).double()
    covariance = torch.tensor([[[4.0, 0.5], [0.5, 0.25]]]).double()
    model.set_components(torch.ones(1), torch.tensor([[3.0, -1.0]]).double(), covariance)
    exact = {
        "mean": (mean(model, generator=0), [3.0, -1.0]),
        "variance": (variance(model, generator=0), [4.0, 0.25]),
        "second moment": (moment(model, 2, generator=0), [13.0, 1.25]),
    }
    for name, (found, expected) in exact.items():
        z = (found.value - torch.tensor(expected).double()) / found.standard_error
        assert z.abs().max() < 4, name
    assert [found.unit for found, _ in exact.values()] == ["data units", "data units^2", "data units^2"]
    assert float(mean(model, generator=0).standard_error[0]) == pytest.approx(2 / 100, rel=0.05)


def test_the_variance_of_few_draws_has_no_bias(line):
    found = torch.stack([variance(line, n=5, generator=seed).value for seed in range(800)])
    assert float(found.mean()) == pytest.approx(1, abs=0.1)  # 0.8 without the correction


def test_many_numbers_at_once_are_each_an_estimate(line):
    both = expectations(line, lambda x: torch.cat([x, x.square()], 1), n=1000, generator=0)
    assert both.value.shape == (2,) and both[1] == expectation(line, square, n=1000, generator=0)
    assert (both[1].method, both[1].relation, both[1].n) == ("estimate", "equal", (1000,))


def test_counts_and_contexts_are_averaged_too():
    made = MADE(Event((3,), "binary"), Event((), "category", levels=2), hidden=(8,)).eval()
    under = [mean(made, context=torch.tensor(c), n=500, generator=0) for c in (0, 1)]
    assert under[0].value.shape == (3,) and not torch.equal(under[0].value, under[1].value)
    with pytest.raises(ValueError, match="one context"):
        mean(made, context=torch.tensor([0, 1]), n=5)


def test_what_h_returns_is_checked(line):
    with pytest.raises(ValueError, match="use expectations"):
        expectation(line, lambda x: x, n=10)
    with pytest.raises(ValueError, match=r"return \(10, \.\.\.\), one value per row, got \(\)"):
        expectation(line, lambda x: x.sum(), n=10)
    with pytest.raises(ValueError, match="finite values of h, got one that is not at draw 3"):
        expectation(line, lambda x: torch.where(torch.arange(10) == 3, float("inf"), x[:, 0]), n=10)
    with pytest.raises(ValueError, match="order of at least 1"):
        moment(line, 0)


def test_the_seed_decides(line):
    first, again = (expectation(line, square, n=50, generator=3) for _ in range(2))
    assert first == again != expectation(line, square, n=50, generator=4)
