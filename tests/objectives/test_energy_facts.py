"""What the lecture says of energies, as numbers: whose gradient contrastive divergence follows, and what a step does.

Means are sums over a grid or Gauss-Hermite nodes, in float64, so that identities hold to rounding; where draws are
used, they come with their error.
"""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.energy.energy import EBM
from fairway.objectives.contrastive_divergence import ContrastiveDivergence
from fairway.objectives.critic_losses import DIVERGENCES
from fairway.objectives.persistent import PersistentContrastiveDivergence
from fairway.samplers.langevin import Langevin
from fairway.samplers.target import Target

LINE = torch.linspace(-6, 6, 601, dtype=torch.float64).unsqueeze(1)
PLANE = torch.cartesian_prod(*[torch.linspace(-6, 6, 121, dtype=torch.float64)] * 2)
GRIDS = {1: LINE, 2: PLANE}


def a_model(dims, seed):
    """An energy at weights far from where training starts."""
    with seeded(seed):
        model = EBM(Event((dims,)), hidden=(6, 6)).double()
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.4)
    return model


def log_p(model, grid):
    """log of the probability of every point of the grid (K,)."""
    return model._log_unnorm(grid).log_softmax(0)


def data_law(grid):
    """Two unequal humps that no energy here has exactly."""
    humps = torch.stack([-2 * (grid - 1).square().sum(1), math.log(0.3) - (grid + 1.2).square().sum(1)])
    return humps.logsumexp(0).softmax(0)


def slopes(scalar, model):
    """Its gradient in all weights, side by side."""
    found = torch.autograd.grad(scalar, list(model.parameters()), allow_unused=True)
    return torch.cat([g.flatten() for g in found if g is not None])


# -- contrastive divergence and the likelihood -------------------------------------------------------------------------
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("dims", [1, 2])
def test_the_slope_of_the_contrast_is_that_of_the_likelihood_and_log_z_has_left(dims, seed):
    """C(theta) = KL(data || p_theta) - KL(p_t || p_theta) at theta_t: C' = -L' = E_t[f'] - E_data[f']."""
    model, grid = a_model(dims, seed), GRIDS[dims]
    data, present = data_law(grid), log_p(model, grid).exp().detach()

    def divergence(law):
        return (law * (law.log() - log_p(model, grid))).sum()

    contrast = slopes(divergence(data) - divergence(present), model)
    likelihood = slopes((data * log_p(model, grid)).sum(), model)
    f = model._tilt(grid)
    means = slopes((present * f).sum() - (data * f).sum(), model)
    torch.testing.assert_close(contrast, -likelihood, rtol=0, atol=1e-8)
    torch.testing.assert_close(contrast, means, rtol=0, atol=1e-8)
    assert float(contrast.norm()) > 0.01


def test_away_from_theta_t_the_contrast_is_not_the_likelihood():
    """The chains' law is that of theta_t: after a move it must be drawn anew."""
    model, data = a_model(1, 0), data_law(LINE)
    old = log_p(model, LINE).exp().detach()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3)
    contrast = slopes((data - old) @ -log_p(model, LINE), model)
    likelihood = slopes(data @ log_p(model, LINE), model)
    assert float((contrast + likelihood).norm()) > 0.05


@pytest.mark.parametrize("dims", [1, 2])
def test_log_z_grows_by_the_mean_of_the_slope_of_f(dims):
    """d log Z = E_p[d f], against finite differences of log Z along a direction in all weights."""
    model, grid = a_model(dims, 3), GRIDS[dims]
    p = log_p(model, grid).exp().detach()
    mean = slopes((p * model._tilt(grid)).sum(), model)
    way = torch.cat([Rows(5, p.numel(), dtype=torch.float64).normal() for p in model.parameters()])
    ends, h = [], 1e-5
    for sign in (1, -1):
        with torch.no_grad():
            start = nn.utils.parameters_to_vector(model.parameters())
            nn.utils.vector_to_parameters(start + sign * h * way, model.parameters())
            ends.append(float(model._log_unnorm(grid).logsumexp(0)))
            nn.utils.vector_to_parameters(start, model.parameters())
    assert (ends[0] - ends[1]) / (2 * h) == pytest.approx(float(mean @ way), rel=1e-6)
    torch.testing.assert_close(mean, slopes(model._log_unnorm(grid).logsumexp(0), model), rtol=0, atol=1e-10)


# -- k moves from the data are not enough ------------------------------------------------------------------------------
CELLS = torch.linspace(-2.4, 2.4, 49, dtype=torch.float64)
STATISTICS = torch.stack([CELLS, -(CELLS.square() - 1).square()])  # f = theta . statistics: a tilt, and two wells


def one_well():
    """The data's law on the cells: nearly all in the right well, narrower than the model's wells."""
    humps = 0.95 * torch.exp(-20 * (CELLS - 0.8).square()) + 0.05 * torch.exp(-20 * (CELLS + 1.1).square())
    return humps / humps.sum()


def law(theta):
    return (theta @ STATISTICS).softmax(0)


def most_likely(data):
    """theta with E_p[statistics] = E_data[statistics], by Newton."""
    theta = torch.tensor([0.5, 1.0], dtype=torch.float64)
    for _ in range(50):
        p = law(theta)
        mean = STATISTICS @ p
        covariance = (STATISTICS * p) @ STATISTICS.T - torch.outer(mean, mean)
        theta = theta + torch.linalg.solve(covariance, STATISTICS @ data - mean).clamp(-0.5, 0.5)
    return theta


def metropolis(p):
    """The transition matrix of Metropolis moves to the next cell, left or right with probability 1/2."""
    k = len(p)
    move = torch.zeros(k, k, dtype=torch.float64)
    for i in range(k - 1):
        move[i, i + 1] = 0.5 * min(1.0, float(p[i + 1] / p[i]))
        move[i + 1, i] = 0.5 * min(1.0, float(p[i] / p[i + 1]))
    return move + torch.diag(1 - move.sum(1))


def biases(theta, data, steps):
    """E_p[f'] - E_k[f'] after k moves from the data, norms: what the slope of CD-k is off the likelihood's."""
    p = law(theta)
    moves = metropolis(p)
    torch.testing.assert_close(p @ moves, p)
    return [float((STATISTICS @ (p - data @ torch.linalg.matrix_power(moves, k))).norm()) for k in steps]


def test_the_bias_of_k_moves_from_the_data_falls_with_k():
    """Exactly, on 49 cells, at a theta whose wells are even."""
    found = biases(torch.tensor([0.0, 1.0], dtype=torch.float64), one_well(), [1, 10, 100, 1000, 10_000])
    assert found[0] > 0.7 and all(a > b for a, b in pairwise(found)) and found[-1] < 1e-10


def test_the_most_likely_theta_is_not_where_contrastive_divergence_rests():
    """The likelihood's slope is 0 there; that of CD-k is not, grows while chains settle in their wells, since data are
    narrower than the model, and is forgotten as they change wells."""
    data = one_well()
    theta = most_likely(data)
    assert float((STATISTICS @ (data - law(theta))).norm()) < 1e-12
    found = biases(theta, data, [0, 1, 10, 30, 100, 1000, 10_000, 1_000_000])
    assert found[0] < 1e-12 and 0.01 < found[1] < found[2] < found[3]
    assert found[3] > found[4] > found[5] > found[6] and found[-1] < 1e-10


def test_mass_in_a_well_where_no_data_are_is_not_seen():
    """Two even wells, data in one of them at the model's own law there: CD-k has nothing to say for thousands of moves,
    the likelihood has."""
    theta = torch.tensor([0.0, 4.0], dtype=torch.float64)
    p = law(theta)
    data = torch.where(CELLS > 0, p, 0.0)
    data = data / data.sum()
    likelihood = STATISTICS @ (data - p)
    seen = []
    for k in (1, 10, 100, 100_000):
        seen.append(float((STATISTICS @ (data - data @ torch.linalg.matrix_power(metropolis(p), k)))[0]))
    assert float(likelihood[0]) > 0.8
    assert all(abs(s) < 0.1 * float(likelihood[0]) for s in seen[:3])
    assert seen[3] == pytest.approx(float(likelihood[0]), rel=0.05)


class Wells(nn.Module):
    """f with log p = theta . statistics on the line: the reference's -u^2 / 2 is taken back."""

    def __init__(self, theta):
        super().__init__()
        self.theta = nn.Parameter(theta.clone())

    def forward(self, u):
        return u.square() / 2 + self.theta[0] * u - self.theta[1] * (u.square() - 1).square()


@pytest.mark.parametrize(("k", "least", "most"), [(5, 0.1, 0.2), (500, -0.03, 0.03)])
def test_chains_of_the_objective_have_that_bias(k, least, most):
    """Its slope in the tilt, at the most likely theta, with Langevin moves in place of those to the next cell."""
    data, n = one_well(), 8000
    draws = np.interp(Rows(0, n, dtype=torch.float64).uniform(), data.cumsum(0), CELLS + 0.05)
    model = EBM(Event((1,)), network=Wells(most_likely(data))).double()
    objective = ContrastiveDivergence(steps=k, penalty=0.0, kernel=Langevin(0.05, metropolis=True))
    objective.setup(model)
    batch, rows = Batch(torch.from_numpy(draws).unsqueeze(1)), Rows(1, n, dtype=torch.float64)
    (slope,) = torch.autograd.grad(
        objective.loss(batch, model, phase=Phase(), generator=rows).total, model.network.theta
    )
    assert least < float(slope[0]) < most


# -- an adversary of its own -------------------------------------------------------------------------------------------
def test_persistent_chains_are_the_fakes_of_a_critic_that_is_its_own_generator():
    """d C = d W / (D (1 + gap^2)), W: the loss of a Wasserstein critic log p on the same data and the same chains."""
    with seeded(0):
        model = EBM(Event((2,)), hidden=(16, 16)).double()
    n, u = 256, Rows(0, 256, dtype=torch.float64).normal(2) + 1
    objective = PersistentContrastiveDivergence(chains=n, penalty=0.0, steps=3)
    objective.double().setup(model)
    found = objective.loss(Batch(u), model, phase=Phase(), generator=Rows(1, n, dtype=torch.float64))
    fakes = objective.chains.double()  # all of them were moved
    critic = DIVERGENCES["wasserstein"].critic(model._log_unnorm(u), model._log_unnorm(fakes)).mean()
    gap = float(found.terms["energy_gap"].detach())
    assert abs(gap) > 0.01
    adversarial = slopes(critic, model) / (2 * (1 + gap**2))
    torch.testing.assert_close(slopes(found.total, model), adversarial, rtol=1e-5, atol=1e-6)
    assert float(critic.detach()) == pytest.approx(-2 * gap, rel=1e-5)


# -- what one step does to a law ---------------------------------------------------------------------------------------
X = torch.linspace(-5, 5, 2001, dtype=torch.float64).unsqueeze(1)
NODES, SHARES = (torch.from_numpy(a) for a in np.polynomial.hermite_e.hermegauss(40))
SHARES = SHARES / SHARES.sum()
LAWS = {
    "normal": lambda u: -0.5 * u.square().sum(1),
    "double well": lambda u: -2 * (u.square() - 1).square().sum(1),
}


def h(x):
    return torch.cos(2 * x) + x.square() / 2


def h_second(x):
    return -4 * torch.cos(2 * x) + 1


def stepped(log_density, dt, x, noise):
    """Where the library's Langevin step takes x (B, 1) under noise (B, 1)."""
    kernel, target = Langevin(dt), Target(log_density, event=Event((1,)))
    return kernel.step(target, kernel.init(target, x), {"move": noise})[0].u


def flat(u):
    return 0.0 * u.sum(1)


def turned(log_density):
    """The gradient's sign turned round."""
    return lambda u: -log_density(u)


def change(log_density, dt, p, noisy):
    """E[h(x')] - E[h(x)] of x with law p on X, exactly: sums over X and over nodes of the noise."""
    nodes, shares = (NODES, SHARES) if noisy else (torch.zeros(1).double(), torch.ones(1).double())
    x = X.repeat_interleave(len(nodes), 0)
    moved = h(stepped(log_density, dt, x, nodes.repeat(len(X)).unsqueeze(1))).reshape(len(X), len(nodes))
    return float(p @ (moved @ shares)) - float(p @ h(X)[:, 0])


@pytest.mark.parametrize("name", list(LAWS))
def test_at_equilibrium_the_gradient_takes_away_what_the_noise_brings(name):
    """-dt/2 E[h''] and +dt/2 E[h''], each up to O(dt^2), and together O(dt^2): errors fall to a quarter with dt / 2."""
    log_density = LAWS[name]
    p = log_density(X).softmax(0)
    curvature = float(p @ h_second(X)[:, 0])
    assert abs(curvature) > 0.1
    errors = []
    for dt in (0.01, 0.005):
        gradient, noise = change(log_density, dt, p, False), change(flat, dt, p, True)
        both = change(log_density, dt, p, True)
        errors.append([gradient + dt / 2 * curvature, noise - dt / 2 * curvature, both])
        assert all(abs(e) < 0.2 * dt / 2 * abs(curvature) for e in errors[-1])
    for coarse, fine in zip(*errors, strict=True):
        assert coarse / fine == pytest.approx(4, rel=0.15)


@pytest.mark.parametrize("name", list(LAWS))
def test_with_the_gradient_turned_round_both_add_up(name):
    """The forward diffusion x - dt/2 grad log pi + sqrt(dt) e: +dt/2 E[h''] twice, so no law stays."""
    log_density = LAWS[name]
    p, dt = log_density(X).softmax(0), 0.002
    curvature = float(p @ h_second(X)[:, 0])
    assert change(turned(log_density), dt, p, False) == pytest.approx(dt / 2 * curvature, rel=0.1)
    assert change(turned(log_density), dt, p, True) == pytest.approx(dt * curvature, rel=0.1)


def test_away_from_equilibrium_the_two_do_not_cancel():
    """Under N(0, 1/2) in place of pi = N(0, 1): the rest is E[h'' + h' s] dt / 2, and it is not 0."""
    p, dt = (-X.square()).sum(1).softmax(0), 0.002
    slope = -2 * torch.sin(2 * X) + X
    rest = float(p @ (h_second(X) - X * slope)[:, 0])
    assert abs(rest) > 0.2
    assert change(LAWS["normal"], dt, p, True) == pytest.approx(dt / 2 * rest, rel=0.05)


def test_by_draws_with_their_errors():
    """The same on 100,000 exact draws of the double well: one x for all, noise of both signs; 4 errors."""
    n, dt, log_density = 100_000, 0.02, LAWS["double well"]
    p = log_density(X).softmax(0)
    curvature = float(p @ h_second(X)[:, 0])
    x = torch.from_numpy(np.interp(Rows(0, n, dtype=torch.float64).uniform(), p.cumsum(0), X[:, 0])).unsqueeze(1)
    e = Rows(1, n, dtype=torch.float64).normal(1)

    def seen(log_density, scale):
        """Mean change of h, and its error."""
        pair = [h(stepped(log_density, dt, x, sign * scale * e)) for sign in (1, -1)]
        gain = ((pair[0] + pair[1]) / 2 - h(x)).flatten()
        return float(gain.mean()), float(gain.std()) / math.sqrt(n)

    for density, scale, wanted in (
        (log_density, 0, -1),
        (flat, 1, 1),
        (log_density, 1, 0),
        (turned(log_density), 1, 2),
    ):
        mean, error = seen(density, scale)
        exact = change(density, dt, p, bool(scale))
        assert mean == pytest.approx(exact, abs=4 * error)
        assert mean == pytest.approx(wanted * dt / 2 * curvature, abs=4 * error + 0.3 * dt / 2 * abs(curvature))
        assert wanted == 0 or abs(mean) > 10 * error


def test_the_gradient_alone_squeezes_a_law_onto_its_modes():
    x = Rows(0, 4000, dtype=torch.float64).normal(1)
    start = torch.where(x > 0, 1.0, -1.0).double()
    spreads = [float((x.abs() - 1).square().mean())]
    for _ in range(400):
        x = stepped(LAWS["double well"], 0.01, x, torch.zeros_like(x))
        spreads.append(float((x.abs() - 1).square().mean()))
    assert all(b < a for a, b in pairwise(spreads))
    torch.testing.assert_close(x, start, rtol=0, atol=1e-3)


def test_the_noise_alone_spreads_it_by_dt_a_step():
    n, dt = 40_000, 0.05
    x = 0.3 * Rows(0, n, dtype=torch.float64).normal(1)
    for k in range(1, 41):
        x = stepped(flat, dt, x, Rows(k, n, dtype=torch.float64).normal(1))
        if k in (1, 10, 40):
            wanted = 0.3**2 + k * dt
            assert float(x.var()) == pytest.approx(wanted, abs=5 * wanted * math.sqrt(2 / n))


def test_together_they_keep_it():
    """From exact draws the variance of a Gaussian stays at 1 / (1 - dt / 4), where each half alone would be at 0 or
    grow without bound."""
    n, dt = 20_000, 0.1
    x = Rows(0, n, dtype=torch.float64).normal(1)
    for k in range(1, 81):
        x = stepped(LAWS["normal"], dt, x, Rows(k, n, dtype=torch.float64).normal(1))
    assert float(x.var()) == pytest.approx(1 / (1 - dt / 4), abs=5 * math.sqrt(2 / n))
