"""A target answers with its gradient, whoever it was made from; a path of densities ends where it says."""

import math

import pytest
import torch
from scipy import stats
from torch import nn

from fairway.core.capability import CapabilityError, HasEnergy
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.random import Rows, seeded
from fairway.models.classical.gaussian import Gaussian
from fairway.models.classical.mixture import GMM
from fairway.models.diffusion.flow_matching import FlowMatching
from fairway.models.energy.energy import EBM
from fairway.models.flow.real_nvp import RealNVP
from fairway.models.gan.wgan_gp import WGANGP
from fairway.models.latent.vae import VAE
from fairway.samplers import draw
from fairway.samplers.driver import Fixed
from fairway.samplers.hmc import HMC
from fairway.samplers.langevin import Langevin
from fairway.samplers.mcmc import MCMC
from fairway.samplers.nuts import NUTS
from fairway.samplers.target import Reference, Target, Tempered, function_target, with_start
from fairway.testing.statistics import mean_p, smirnov_p


def points(n=5, d=2, seed=0):
    return Rows(seed, n, dtype=torch.float64).normal(d)


# ------------------------------------------------------------------------------------------------ a density of your own


def test_target_derives_its_gradient():
    target = Target(lambda u: -u.pow(4).sum(1))
    u = points()
    value, grad = target.value_and_grad(u)
    torch.testing.assert_close(grad, -4 * u**3)
    torch.testing.assert_close(value, target.value(u))
    assert not value.requires_grad and not grad.requires_grad and not u.requires_grad


def test_a_gradient_that_is_given_is_taken():
    target = Target(None, score=lambda u: -u)
    value, grad = target.value_and_grad(points())
    assert bool(value.isnan().all()) and torch.equal(grad, -points())
    assert bool(target.value(points()).isnan().all())


def test_a_plateau_has_no_slope():
    value, grad = Target(lambda u: torch.zeros(len(u)).double()).value_and_grad(points())
    assert bool((value == 0).all()) and bool((grad == 0).all()) and grad.shape == (5, 2)


def curved(u):
    """log det of [[1, x], [x, y]], by a factorisation that fails for the whole batch where y <= x^2."""
    x, y = u.unbind(1)
    matrix = torch.stack([torch.stack([torch.ones_like(x), x], 1), torch.stack([x, y], 1)], 1)
    return torch.linalg.cholesky(matrix).diagonal(dim1=1, dim2=2).log().sum(1)


def test_a_factorisation_that_fails_for_a_row_affects_that_row_alone():
    u = torch.tensor([[0.1, 1.0], [0.5, 2.0], [3.0, 1.0], [0.0, 0.5], [1.0, -1.0], [0.2, 3.0], [0.1, 0.7]]).double()
    with pytest.raises(torch.linalg.LinAlgError):
        curved(u)
    good = torch.tensor([True, True, False, True, False, True, True])
    value, grad = Target(curved).value_and_grad(u)
    alone = Target(curved).value_and_grad(u[good])
    torch.testing.assert_close(value[good], alone[0])
    torch.testing.assert_close(grad[good], alone[1])
    assert bool(value[~good].isnan().all()) and bool(grad[~good].isnan().all())
    torch.testing.assert_close(Target(curved).value(u), value, equal_nan=True)


def test_a_row_that_fails_leaves_the_others_their_own_targets():
    def shifted(shift):
        return Target(lambda u: curved(u) + shift, part=lambda index: shifted(shift[index]))

    u = torch.tensor([[0.1, 1.0], [3.0, 1.0], [0.0, 0.5], [0.2, 3.0]]).double()
    value = shifted(torch.arange(4.0).double()).value(u)
    torch.testing.assert_close(value[[0, 2, 3]], curved(u[[0, 2, 3]]) + torch.tensor([0.0, 2.0, 3.0]))
    assert bool(value[1].isnan())


def test_chains_walk_beside_a_factorisation_that_fails():
    """y - x^2 ~ Exponential on one side of a parabola; outside, no factor exists."""
    target = function_target(lambda u: 2 * curved(u) - u[:, 1] - u[:, 0].square(), 2)
    start = with_start(target, lambda rows: torch.tensor([0.0, 1.0]).double().expand(rows.n, 2))
    draws = draw(start, 16, sampler=MCMC(HMC(0.5, 2), Fixed(40, warmup=0)), generator=0)
    assert bool((draws.samples[:, 1] > draws.samples[:, 0].square()).all()) and draws.divergences > 0
    assert 0.1 < draws.acceptance < 0.99


def test_starting_points():
    rows = Rows(0, 6, dtype=torch.float64)
    assert function_target(lambda u: u.sum(1), (2, 3)).starts(rows).shape == (6, 2, 3)
    assert function_target(lambda u: u, ()).starts(rows).shape == (6,)
    levels = Target(lambda u: u.sum(1), event=Event((40,), "integer", low=3, high=5)).starts(rows)
    assert levels.dtype == torch.int64 and levels.unique().tolist() == [3, 4, 5]
    assert float(with_start(function_target(lambda u: u, 1), lambda r: torch.ones(r.n)).starts(rows).sum()) == 6


def test_a_target_must_know_something():
    with pytest.raises(ValueError, match="log_prob, score or resample"):
        Target(None)


# ------------------------------------------------------------------------------------------------------------- models


def fitted():
    x = torch.cat([points(300, seed=1) + 2, 0.4 * points(200, seed=2) - torch.tensor([1.0, 0.0]).double()])
    with seeded(0):
        return GMM(Event((2,)), components=2).fit(x)


def built(cls, *events, **options):
    with seeded(0):
        model = cls(*events, **options).double().eval()
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize("cls", [Gaussian, GMM, RealNVP, EBM])
def test_a_models_target_is_its_own_density_in_its_own_units(cls):
    model = built(cls, Event((2,)))
    target = Target.of(model)
    u = points(7)
    ask = model._log_unnorm if model.supports(HasEnergy) else model._log_prob
    torch.testing.assert_close(target.value(u), ask(u).detach())
    torch.testing.assert_close(target.value_and_grad(u)[1], model._score(u).detach())
    assert target.event == model.model_event and target.dtype == torch.float64


@pytest.mark.parametrize(
    ("kernel", "warmup"), [(HMC(), 60), (NUTS(), 60), (Langevin(0.3, metropolis=True), 0)], ids=["hmc", "nuts", "mala"]
)
def test_chains_on_a_fitted_mixture_agree_with_its_own_draws(kernel, warmup):
    model = fitted()
    own, start = model.sample(3000, generator=1), model.sample(1500, generator=2)
    chains = model.sample(1500, sampler=MCMC(kernel, Fixed(20, warmup)), init=start, generator=3)
    for k in range(2):
        assert smirnov_p(chains[:, k], own[:, k]) > 1e-4
    assert smirnov_p(model.log_prob(chains), model.log_prob(own)) > 1e-4


def test_chains_on_a_flow_agree_with_its_own_draws():
    model = built(RealNVP, Event((2,)), transforms=2, hidden=(8,))
    own = model.sample(4000, generator=1)
    chains = model.sample(1500, sampler=MCMC(HMC(), Fixed(20, warmup=60)), generator=0)
    for k in range(2):
        assert smirnov_p(chains[:, k], own[:, k]) > 1e-4
    assert smirnov_p(model.log_prob(chains), model.log_prob(own)) > 1e-4


def test_a_model_without_density_energy_or_score_is_refused():
    with pytest.raises(CapabilityError, match="score"):
        Target.of(built(WGANGP, Event((2,))))


class Shifted(HasEnergy, Model):
    """N(context, 1): each chain has a target of its own."""

    accepts_context = ("real",)

    def _log_unnorm(self, u, context=None):
        return -0.5 * (u - context).square().sum(1)


def test_each_chain_has_its_own_context():
    context = torch.tensor([[-30.0], [0.0], [30.0]]).double()
    target = Target.of(Shifted(Event((1,)), Event((1,))), context)
    u = torch.tensor([[-29.0], [2.0], [33.0]]).double()
    assert target.value(u).tolist() == [-0.5, -2.0, -4.5]
    some = torch.tensor([2, 0])
    assert target.chains(some).value(u[some]).tolist() == [-4.5, -0.5]
    assert target.chains(some).chains(torch.tensor([1])).value(u[:1]).tolist() == [-0.5]


@pytest.mark.parametrize("kernel", [NUTS(), HMC(), Langevin(0.5, metropolis=True)], ids=["nuts", "hmc", "mala"])
def test_chains_with_contexts_do_not_mix(kernel):
    """Some chains stop before the others; each goes on with its own target."""
    context = 3 * torch.arange(200).remainder(4).unsqueeze(1).double()
    target = Target.of(Shifted(Event((1,)), Event((1,))), context)
    draws = MCMC(kernel, Fixed(15, warmup=60)).run(target, 200, generator=Rows(0, 200, dtype=torch.float64))
    residual = (draws.samples - context).squeeze(1)
    assert mean_p(residual, 0.0) > 1e-4 and mean_p(residual.square(), 1.0) > 1e-4


# ---------------------------------------------------------------------------------------------------------- posteriors


def linear_gaussian():
    """A VAE with u = W z + b + s e, and the precision and weights of its posterior N(P^-1 W' (u - b) / s^2, P^-1)."""
    model = built(VAE, Event((3,)), latent=2, hidden=())
    w = torch.tensor([[1.0, 0.5], [-0.7, 1.2], [0.3, 0.3]]).double()
    b, log_s = torch.tensor([0.3, -1.0, 2.0]).double(), -0.5
    with torch.no_grad():
        model.decoder.last.weight.copy_(torch.cat([w, torch.zeros_like(w)]))
        model.decoder.last.bias.copy_(torch.cat([b, torch.full((3,), 5 * math.atanh(log_s / 5)).double()]))
    variance = math.exp(2 * log_s)
    precision = torch.eye(2).double() + w.T @ w / variance
    return model, lambda u: torch.linalg.solve(precision, (w.T / variance) @ (u - b).T).T, precision.inverse()


@pytest.mark.parametrize("kernel", [NUTS(), HMC()], ids=["nuts", "hmc"])
def test_the_posterior_of_a_linear_model_is_known(kernel):
    model, mean, covariance = linear_gaussian()
    x = torch.tensor([[0.0, 1.0, 2.0], [3.0, -3.0, 1.0], [-2.0, 0.5, 4.0]])
    target = Target.posterior(model, x)
    rows = Rows(0, 1200, dtype=torch.float64)
    z = MCMC(kernel, Fixed(15, warmup=60)).run(target, 1200, generator=rows).samples  # chain i is given row i % 3
    for i in range(3):
        residual = z[i::3] - mean(x.double())[i]
        assert min(mean_p(residual[:, k], 0.0) for k in range(2)) > 1e-4
        torch.testing.assert_close(residual.T.cov(), covariance, rtol=0.25, atol=0.05)


def test_a_posterior_needs_a_chain_for_every_observation():
    model, _, _ = linear_gaussian()
    target = Target.posterior(model, torch.zeros(3, 3))
    with pytest.raises(ValueError, match="multiple of 3 chains, one for each observation, got 4"):
        target.value(torch.zeros(4, 2).double())
    with pytest.raises(CapabilityError):
        Target.posterior(built(Gaussian, Event((2,))), torch.zeros(1, 2))


# -------------------------------------------------------------------------------------------------------- noise levels


class Velocity(nn.Module):
    """E[eps - u_0 | u_t] for data N(0, 1/4)."""

    def forward(self, u, t, context=None):
        t = t.unsqueeze(1)
        return u * (t - (1 - t) / 4) / ((1 - t) ** 2 / 4 + t**2)


@pytest.mark.parametrize("t", [0.3, 1.0])
def test_langevin_at_a_noise_level_draws_the_noisy_data(t):
    model = FlowMatching(Event((2,)), network=Velocity()).double()
    target = Target.at_level(model, t)
    variance = (1 - t) ** 2 / 4 + t**2
    torch.testing.assert_close(target.value_and_grad(points())[1], -points() / variance)
    step = 0.1 * variance
    rows = Rows(0, 4000, dtype=torch.float64)
    u = MCMC(Langevin(step), Fixed(60)).run(target, 4000, generator=rows).samples
    assert float(u.var()) == pytest.approx(variance / (1 - 0.1 / 4), rel=0.05)


@pytest.mark.parametrize("t", [0.0, 1.2])
def test_other_levels_are_refused(t):
    with pytest.raises(ValueError, match="noise level in"):
        Target.at_level(FlowMatching(Event((2,)), network=Velocity()), t)
    with pytest.raises(CapabilityError):
        Target.at_level(built(Gaussian, Event((2,))), 0.5)


# ---------------------------------------------------------------------------------------------------------------- paths

HILL = function_target(lambda u: -u.pow(4).sum(1) + 3 * u[:, 0] + 7, 2)
NARROW = Reference(torch.tensor([1.0, -1.0]).double(), torch.tensor([0.5, 2.0]).double())


@pytest.mark.parametrize("q", [Reference(), Reference(0.5, 3.0), NARROW])
def test_the_reference_is_normalised_and_drawn_from(q):
    mean, std = torch.as_tensor(q.mean).expand(2).double(), torch.as_tensor(q.std).expand(2).double()
    law = torch.distributions.Normal(mean, std)
    torch.testing.assert_close(q.log_prob(points()), law.log_prob(points()).sum(1))
    torch.testing.assert_close(q.score(points()), (mean - points()) / std.square())
    u = q.sample(Rows(0, 5000, dtype=torch.float64), (2,))
    assert all(stats.kstest(u[:, k], "norm", (mean[k], std[k])).pvalue > 1e-4 for k in range(2))


@pytest.mark.parametrize("q", [Reference(), NARROW])
def test_a_path_is_exactly_the_reference_at_0_and_exactly_the_target_at_1(q):
    path, u = Tempered(HILL, q), 3 * points(50)
    each = torch.arange(50).remainder(2).double()
    for at, asked in ((path.at(0.0), (q.log_prob(u), q.score(u))), (path.at(1.0), HILL.value_and_grad(u))):
        assert all(torch.equal(a, b) for a, b in zip(at.value_and_grad(u), asked, strict=True))
        assert torch.equal(at.value(u), asked[0])
    mixed = path.at(each).value_and_grad(u)
    ends = HILL.value_and_grad(u)
    assert torch.equal(mixed[0], torch.where(each == 1, ends[0], q.log_prob(u)))
    assert torch.equal(mixed[1], torch.where(each.unsqueeze(1) == 1, ends[1], q.score(u)))


@pytest.mark.parametrize("beta", [0.25, 0.9])
def test_in_between_a_path_turns_up_f(beta):
    path, u = Tempered(HILL, NARROW), points(20)
    value, grad = path.at(beta).value_and_grad(u)
    torch.testing.assert_close(value, NARROW.log_prob(u) + beta * path.f(u))
    torch.testing.assert_close(path.f(u), HILL.value(u) - NARROW.log_prob(u))
    torch.testing.assert_close(grad, (1 - beta) * NARROW.score(u) + beta * HILL.value_and_grad(u)[1])


def test_where_the_target_is_zero_the_start_of_a_path_is_still_the_reference():
    wall = function_target(lambda u: torch.where(u[:, 0] > 0, -u.sum(1), -torch.inf), 2)
    u = -points(4).abs()
    at = Tempered(wall).at(torch.zeros(4).double())
    assert torch.equal(at.value(u), Reference().log_prob(u)) and bool((Tempered(wall).at(0.5).value(u) < -1e300).all())


def test_a_path_for_some_of_its_chains():
    beta = torch.tensor([0.0, 0.5, 1.0]).double()
    path, u, some = Tempered(HILL), points(3), torch.tensor([2, 1])
    torch.testing.assert_close(path.at(beta).chains(some).value(u[some]), path.at(beta).value(u)[some])
    torch.testing.assert_close(path.at(0.5).chains(some).value(u[some]), path.at(0.5).value(u)[some])


def test_no_u_turns_at_a_temperature_for_each_chain():
    """N(0, 1) to N(0, 1/16): at beta the precision is 1 + 15 beta."""
    beta = torch.linspace(0, 1, 4).double().repeat(300)
    target = Tempered(function_target(lambda u: -8 * u.square().sum(1), 1)).at(beta)
    draws = MCMC(NUTS(0.3), Fixed(12, warmup=0)).run(target, 1200, generator=Rows(0, 1200, dtype=torch.float64))
    scaled = draws.samples.squeeze(1).square() * (1 + 15 * beta)
    assert all(mean_p(scaled[beta == b], 1.0) > 1e-4 for b in beta.unique())


def test_a_gradient_inside_a_compiled_step_is_the_same():
    u = points()
    torch.testing.assert_close(HILL._traced(u), HILL.value_and_grad(u))
