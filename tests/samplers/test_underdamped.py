"""BAOAB: exact positions on a Gaussian, second order elsewhere, one gradient a step, an honest temperature."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import ive

from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.samplers import draw
from fairway.samplers.driver import ChainError, Fixed
from fairway.samplers.langevin import Langevin
from fairway.samplers.mcmc import MCMC
from fairway.samplers.target import Target
from fairway.samplers.underdamped import Underdamped

NORMAL = Target(lambda u: -0.5 * u.square().sum(1), event=Event((1,)))


def column(*values):
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def move(kernel, target, u, p, bath):
    """One step from (u, p), each (B, 1)."""
    return kernel.step(target, replace(kernel.init(target, u), momentum=p), {"bath": bath, "move": bath})[0]


# -------------------------------------------------------------------------------------------------------- on a Gaussian


def stationary(kernel):
    """Covariance of (u, p) under the linear map A (u, p) + b e that a step on N(0, 1) is: S = A S A' + b b'."""
    end = move(kernel, NORMAL, column(1.0, 0.0, 0.0), column(0.0, 1.0, 0.0), column(0.0, 0.0, 1.0))
    a, b = torch.cat([end.u, end.momentum], 1).T.split([2, 1], dim=1)
    s = torch.linalg.solve(torch.eye(4).double() - torch.kron(a, a), (b @ b.T).flatten())
    return s.reshape(2, 2)


@pytest.mark.parametrize("friction", [0.1, 1.0, 30.0])
@pytest.mark.parametrize("step", [0.05, 0.5, 1.0, 1.9])
def test_positions_are_exact_on_a_gaussian_and_momenta_lack_a_quarter_of_the_squared_step(step, friction):
    expected = torch.diag(torch.tensor([1.0, 1 - step**2 / 4], dtype=torch.float64))
    torch.testing.assert_close(stationary(Underdamped(step, friction)), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("noise", [0.05, 0.6, 2.0])
def test_the_temperature_is_the_variance_of_the_positions(noise):
    with pytest.warns(UserWarning, match="temperature"):
        kernel = Underdamped(0.3, 0.7, noise=noise)
    assert kernel.effective_temperature == pytest.approx(noise**2 / (1 - math.exp(-2 * 0.7 * 0.3)))
    assert float(stationary(kernel)[0, 0]) == pytest.approx(kernel.effective_temperature)


def test_the_right_noise_is_temperature_one_and_needs_no_warning():
    assert Underdamped(0.3, 0.7).effective_temperature == 1
    assert Underdamped(0.3, 0.7, noise=math.sqrt(1 - math.exp(-0.42))).effective_temperature == pytest.approx(1)


def test_without_friction_a_step_is_a_leapfrog_step():
    """B A A B with nothing between: time-reversible, energy on the ellipse p^2 + (1 - dt^2 / 4) u^2."""
    kernel = Underdamped(0.5, friction=1e-12)
    state = replace(kernel.init(NORMAL, column(1.0)), momentum=column(0.3))
    for _ in range(50):
        state, _ = kernel.step(NORMAL, state, {"bath": column(0.0)})
    ellipse = state.momentum.square() + (1 - 0.25 / 4) * state.u.square()
    assert float(ellipse) == pytest.approx(0.09 + 1 - 0.25 / 4, abs=1e-9)


# --------------------------------------------------------------------------------------------------------- elsewhere

CIRCLE = Target(lambda u: u[:, 0].cos())  # von Mises on angles: E cos u = I_1(1) / I_0(1)


def hermite(p, degrees):
    """Orthonormal polynomials under N(0, 1), (B, degrees)."""
    h = [torch.ones_like(p), p]
    for n in range(1, degrees):
        h.append((p * h[n] - math.sqrt(n) * h[n - 1]) / math.sqrt(n + 1))
    return torch.cat(h[:degrees], 1)


def gauss(count):
    """Nodes and weights of N(0, 1)."""
    x, w = np.polynomial.hermite_e.hermegauss(count)
    return torch.tensor(x), torch.tensor(w / w.sum())


def mean_cosine(kernel, waves=8, degrees=12):
    """E cos u in the long run, without noise: the transition in the basis e^(iku) h_n(p), by quadrature."""
    momenta, weights = gauss(degrees) if isinstance(kernel, Underdamped) else (column(0.0)[0], column(1.0)[0])
    angles, (bath, bath_weights) = torch.arange(2 * waves + 2) * (math.pi / (waves + 1)), gauss(12)
    u, p, e = (t.reshape(-1, 1) for t in torch.meshgrid(angles.double(), momenta, bath, indexing="ij"))

    def basis(u, p):
        fourier = torch.exp(1j * torch.arange(-waves, waves + 1) * u)
        return (fourier.unsqueeze(2) * hermite(p, len(momenta)).unsqueeze(1)).flatten(1)

    if isinstance(kernel, Underdamped):
        end = move(kernel, CIRCLE, u, p, e)
        after = basis(end.u, end.momentum)
    else:
        after = basis(kernel.step(CIRCLE, kernel.init(CIRCLE, u), {"move": e})[0].u, p)
    after = (after.reshape(-1, len(bath), after.shape[1]) * bath_weights.unsqueeze(1)).sum(1)
    here = basis(u[:: len(bath)], p[:: len(bath)])
    rows = weights.repeat(len(angles)).unsqueeze(1) / len(angles)
    transition = (here.conj() * rows).T @ after
    one = waves * len(momenta)  # where the constant stands: the long-run means m solve m T = m with m(constant) = 1
    unit = torch.eye(len(transition), dtype=transition.dtype)
    equations = torch.cat([transition.T - unit, unit[one : one + 1]])
    right = torch.cat([torch.zeros(len(unit), 1), torch.ones(1, 1)]).to(equations.dtype)
    return float(torch.linalg.lstsq(equations, right).solution[one + len(momenta), 0].real)


@pytest.mark.parametrize(("build", "order", "largest"), [(Langevin, 1, 0.05), (Underdamped, 2, 1e-3)])
def test_order_of_the_bias(build, order, largest):
    exact = float(ive(1, 1) / ive(0, 1))
    errors = [abs(mean_cosine(build(step)) - exact) for step in (0.4, 0.2, 0.1)]
    assert 1e-5 < errors[0] < largest
    assert errors[0] / errors[1] == pytest.approx(2**order, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(2**order, rel=0.02)


def test_draws_are_where_they_should_be():
    u = Rows(0, 4000, dtype=torch.float64)
    run = Fixed(120).run(Underdamped(0.4), replace(NORMAL, event=Event((2,))), 3 + u.normal(2), u)
    assert float(run.state.u.mean()) == pytest.approx(0, abs=0.05)
    assert float(run.state.u.var()) == pytest.approx(1, abs=0.06)


def test_a_step_costs_one_gradient():
    calls = []

    def log_prob(u):
        calls.append(len(u))
        return -0.5 * u.square().sum(1)

    draws = draw(log_prob, 6, 2, sampler=MCMC(Underdamped(), Fixed(9, warmup=5)), generator=0)
    assert len(calls) == 10 and draws.n_grad == 60 and draws.acceptance is None


def test_an_explosion_names_the_chain_and_the_step():
    """Far out the quartic's force throws a chain further at every step."""
    target = Target(lambda u: -u.pow(4).sum(1), event=Event((1,)))
    start = torch.zeros(20, 1, dtype=torch.float64)
    start[7] = 50.0
    with pytest.raises(ChainError, match=r"chain 7 is no longer a number at step [0-9]+: .*smaller step"):
        Fixed(100).run(Underdamped(0.2), target, start, Rows(0, 20, dtype=torch.float64))


@pytest.mark.parametrize("options", [{"step": 0.0}, {"friction": -1.0}])
def test_wrong_options_are_refused(options):
    with pytest.raises(ValueError, match="expected"):
        Underdamped(**options)
