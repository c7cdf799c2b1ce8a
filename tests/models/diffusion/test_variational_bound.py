"""The bound: a hierarchy's own, below the density, the same on every schedule, tighter with more levels."""

import math
from itertools import pairwise

import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.models.diffusion.denoiser import Denoiser
from fairway.models.diffusion.discrete import Discrete, cosine_betas, linear_betas
from fairway.models.diffusion.edm import EDM
from fairway.models.diffusion.flow_matching import FlowMatching
from fairway.models.diffusion.mixture import MixtureDenoiser
from fairway.models.diffusion.schedule import SCHEDULES, schedule_named
from fairway.models.diffusion.variational_bound import costs, few, level_times, variational_bound
from fairway.models.energy.energy import EBM

ENDS = (9.0, -7.5)  # within reach of every schedule
MEAN, STD = 0.3, 0.6


class PlusAndMinus:
    """Noise +1 for one row and -1 for the other: the mean of a quadratic over them is its expectation."""

    def spawn(self, *keys):
        return self

    def normal(self, *shape):
        return torch.tensor([[1.0], [-1.0]], dtype=torch.float64)


def elbo_of_hierarchy(schedule, times, point, larger):
    """E_q log p(u_0, ..., u_K) + H(q(u_1, ..., u_K | u_0)) of a linear-Gaussian chain, from its moments alone.

    Data N(MEAN, STD^2); every conditional is read off a joint covariance.
    """
    alpha, sigma = (c.tolist() for c in schedule(times))
    levels = range(len(alpha))
    # q: u_i = alpha_i u_0 + noise, a Markov chain
    centre = [a * point for a in alpha]
    noise = [[alpha[max(i, j)] / alpha[min(i, j)] * sigma[min(i, j)] ** 2 for j in levels] for i in levels]
    entropy = 0.5 * (
        len(alpha) * (1 + math.log(2 * math.pi)) + float(torch.tensor(noise, dtype=torch.float64).logdet())
    )

    def expected(where, of, slope, shift, variance):
        """E_q log N(u_where; slope u_of + shift, variance); where None is u_0, of None nothing."""
        mean = (point if where is None else centre[where]) - shift - (0 if of is None else slope * centre[of])
        spread = 0 if where is None else noise[where][where]
        if of is not None:
            spread += slope**2 * noise[of][of] - (0 if where is None else 2 * slope * noise[where][of])
        return -0.5 * (math.log(2 * math.pi * variance) + (mean**2 + spread) / variance)

    def estimate(k):
        """E[u_0 | u_k] = slope u_k + shift."""
        slope = alpha[k] * STD**2 / (alpha[k] ** 2 * STD**2 + sigma[k] ** 2)
        return slope, MEAN - slope * alpha[k] * MEAN

    last = len(alpha) - 1
    total = entropy + expected(last, None, 0, 0, alpha[last] ** 2 + sigma[last] ** 2)
    for s, t in pairwise(levels):
        gain = noise[s][t] / noise[t][t]  # q(u_s | u_t, u_0): regression of the noise of u_s on that of u_t
        variance = noise[s][s] - gain * noise[s][t]
        if larger:  # Var[u_s | u_t] of data from N(0, 1)
            early, late, both = (alpha[i] * alpha[j] + noise[i][j] for i, j in ((s, s), (t, t), (s, t)))
            variance = early - both**2 / late
        slope, shift = estimate(t)
        rest = alpha[s] - gain * alpha[t]
        total += expected(s, t, gain + rest * slope, rest * shift, variance)
    slope, shift = estimate(0)
    return total + expected(None, 0, slope, shift, sigma[0] ** 2 / (alpha[0] ** 2 + sigma[0] ** 2))


def gaussian(schedule, prediction="velocity"):
    one = torch.ones(1, dtype=torch.float64)
    return MixtureDenoiser(
        one, MEAN * one[:, None], STD**2 * one[:, None, None], schedule=schedule, prediction=prediction
    ).double()


def draws(mixture, n, seed=0):
    """(n, 2) from a mixture."""
    weights, means, covariances = mixture
    rows = Rows(seed, n, dtype=torch.float64)
    which = torch.searchsorted(weights.cumsum(0), rows.uniform()).clamp(max=len(weights) - 1)
    roots = torch.linalg.cholesky(covariances)
    return means[which] + torch.einsum("nij,nj->ni", roots[which], rows.normal(2))


def error_of_mean(x):
    return float(x.std()) / len(x) ** 0.5


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("variance", ["larger", "smaller"])
@pytest.mark.parametrize(("levels", "spacing"), [(2, "log_snr"), (7, "log_snr"), (7, "time")])
def test_it_is_the_bound_of_the_hierarchy_in_closed_form(name, levels, spacing, variance):
    schedule = schedule_named(name)
    times = level_times(schedule, levels, spacing, (5.0, -4.0))
    model = gaussian(schedule)
    for point in (0.4, -1.7):
        u = torch.full((2, 1), point, dtype=torch.float64)
        found = sum(costs(model, u, None, PlusAndMinus(), times, None, variance).values()).mean()
        assert -float(found) == pytest.approx(elbo_of_hierarchy(schedule, times, point, variance == "larger"), abs=1e-9)


DISCRETE = {"linear betas": Discrete(linear_betas(1000)), "cosine betas": Discrete(cosine_betas(50))}


@pytest.mark.parametrize("name", [*SCHEDULES, *DISCRETE])
def test_it_is_below_the_density_and_near_it(mixture, name):
    schedule = DISCRETE.get(name, name)
    model = MixtureDenoiser(*mixture, schedule=schedule, prediction="edm").double().eval()
    x = draws(mixture, 600)
    gap = variational_bound(model, x, levels=100, generator=1).value - model.log_prob(x)
    assert float(gap.mean()) < 3 * error_of_mean(gap)
    truth = MixtureDenoiser(*mixture).double().log_prob_at(x, torch.zeros(600, dtype=torch.float64))
    short = truth - variational_bound(model, x, levels=100, generator=2).value
    assert -3 * error_of_mean(short) < float(short.mean()) < 0.3 + 3 * error_of_mean(short)


def test_it_is_the_same_on_every_schedule(mixture):
    """Not within 5 %: draw by draw, since the ratio of signal to noise alone enters."""
    x = draws(mixture, 100)
    values = [
        variational_bound(MixtureDenoiser(*mixture, schedule=name).double(), x, levels=20, ends=ENDS).value
        for name in SCHEDULES
    ]
    for value in values[1:]:
        torch.testing.assert_close(value, values[0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("prediction", ["data", "noise", "velocity", "v", "edm"])
def test_it_is_the_same_for_every_prediction_in_single_precision(mixture, prediction):
    x = draws(mixture, 100)
    exact = variational_bound(MixtureDenoiser(*mixture).double(), x, levels=20, ends=ENDS)
    model = MixtureDenoiser(*(part.float() for part in mixture), schedule="vp", prediction=prediction)
    single = variational_bound(model, x.float(), levels=20, ends=ENDS)
    noisy = abs(float(single.value.mean()) - float(exact.value.mean()))  # other noise in another precision
    assert noisy < 4 * 2**0.5 * error_of_mean(exact.value)


def test_more_levels_are_tighter(mixture):
    """The gap falls like 1 / K."""
    model = MixtureDenoiser(*mixture, schedule="cosine").double()
    x = draws(mixture, 4000)
    found = [variational_bound(model, x, levels=k, ends=ENDS, generator=k).value for k in (5, 10, 20, 40)]
    means = [float(value.mean()) for value in found]
    assert means == sorted(means)
    assert 1.4 < (means[2] - means[1]) / (means[3] - means[2]) < 3.0


@pytest.mark.parametrize("spacing", ["log_snr", "time"])
def test_few_levels_leave_the_expectation_as_it_is(mixture, spacing):
    model = MixtureDenoiser(*mixture, schedule="vp").double()
    calls, exact = [], model._network
    object.__setattr__(model, "_network", lambda u, t, c: calls.append(len(u)) or exact(u, t, c))
    x = draws(mixture, 1)[:1].expand(4000, 2)
    options = {"levels": 40, "spacing": spacing, "ends": (7.0, -7.0)}
    whole = variational_bound(model, x, generator=1, **options)
    assert sum(calls) == 40 * 4000
    calls.clear()
    some = variational_bound(model, x, evaluations=5, generator=2, **options)
    assert sum(calls) == 5 * 4000
    error = (error_of_mean(whole.value) ** 2 + error_of_mean(some.value) ** 2) ** 0.5
    assert abs(float(whole.value.mean() - some.value.mean())) < 4 * error


def test_odds_and_weights_of_few_levels():
    ratios = torch.tensor([4.0, 3.0, 1.0, -4.0], dtype=torch.float64)
    counts, sums = torch.zeros(3), torch.zeros(3, dtype=torch.float64)
    for index, weight in few(ratios, 2, Rows(0, 40_000)):
        counts += torch.bincount(index, minlength=3)
        sums.index_add_(0, index, weight)
    torch.testing.assert_close(counts / 80_000, torch.tensor([1.0, 2.0, 5.0]) / 8, atol=0.01, rtol=0)
    torch.testing.assert_close(sums / 40_000, torch.ones(3, dtype=torch.float64), atol=0.03, rtol=0)


class Uniform(Denoiser):
    """The exact denoiser of 8-bit levels that are all alike, dequantised: a truncated normal's mean."""

    accepts = ("integer",)

    def __init__(self, schedule):
        super().__init__(Event((1,), "integer", low=0, high=255))
        self.schedule = schedule_named(schedule)

    def _prediction(self, t):
        return torch.ones_like(t), torch.zeros_like(t)

    def _network(self, u, t, context):
        alpha, sigma = (c.unsqueeze(1) for c in self.schedule(t))
        (low, _), (high, _) = (self.preprocess.maps[1].to_model(torch.tensor([[end]]).double()) for end in (0, 256))
        normal = torch.distributions.Normal(torch.zeros_like(u), torch.ones_like(u))
        a, b = (alpha * low - u) / sigma, (alpha * high - u) / sigma
        mass = torch.special.ndtr(b) - torch.special.ndtr(a)
        shift = (normal.log_prob(a).exp() - normal.log_prob(b).exp()) / mass
        exact = ((u + sigma * shift) / alpha).clamp(low, high)
        return torch.where(mass > 1e-8, exact, (u / alpha).clamp(low, high))


@pytest.mark.parametrize("name", SCHEDULES)
def test_uniform_bytes_are_not_told_in_fewer_than_eight_bits(name):
    model = Uniform(name).double()
    x = torch.arange(256).unsqueeze(1)
    model.preprocess.fit(x)
    model.eval()
    bits = [-variational_bound(model, x, levels=200, generator=seed).value / math.log(2) for seed in range(8)]
    mean = torch.cat(bits)
    assert 8 - 3 * error_of_mean(mean) < float(mean.mean()) < 8.1


def test_costs_have_names_units_and_any_leading_dims():
    event = Event((2,), "bounded", low=0.0, high=10.0)
    model = EDM(event, Event((), "category", levels=3), hidden=(8,)).double().eval()
    x, context = torch.rand(3, 4, 2, dtype=torch.float64) * 10, torch.tensor([0, 1, 2])
    found = variational_bound(model, x, context, levels=5)
    assert set(found.terms) == {"prior", "denoising", "reconstruction", "units"}
    assert {tuple(value.shape) for value in (found.value, *found.terms.values())} == {(3, 4)}
    torch.testing.assert_close(-sum(found.terms.values()), found.value)
    again = variational_bound(model, x.reshape(12, 2), context.repeat_interleave(4), levels=5, batch_size=7)
    torch.testing.assert_close(again.value, found.value.reshape(12))
    assert not torch.equal(variational_bound(model, x, context, levels=5, generator=1).value, found.value)


def test_wrong_questions_are_refused():
    model, x = FlowMatching(Event((2,)), hidden=(8,)), torch.zeros(3, 2)
    with pytest.raises(CapabilityError, match="needs a denoiser"):
        variational_bound(EBM(Event((2,)), hidden=(8,)), x)
    for wrong in ({"levels": 1}, {"spacing": "t"}, {"variance": "small"}, {"ends": (-1.0, 1.0)}, {"evaluations": 1}):
        with pytest.raises(ValueError, match="expected"):
            variational_bound(model, x, **wrong)
    with pytest.raises(ValueError, match="the schedule's"):
        variational_bound(EDM(Event((2,)), hidden=(8,)), x, ends=(20.0, 0.0))
