"""Fixed statistics, learned multipliers: the nearest law to the reference with the data's means, and no other."""

import numpy as np
import pytest
import scipy.optimize
import torch
from torch import nn

from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.models.energy.frame import FRAME
from fairway.networks.filter_bank import ImageStatistics
from fairway.training.fit import fit

STATES = torch.linspace(-2, 2, 16, dtype=torch.float64).unsqueeze(1)


class Two(nn.Module):
    """h(u) = (tanh u, 1 / (1 + u^2))."""

    def forward(self, u):
        return torch.cat([torch.tanh(u), 1 / (1 + u.square())], 1)


class Flat(FRAME):
    """The same over a uniform reference."""

    def _log_reference(self, u):
        return u.new_zeros(len(u))


def kl(p, q):
    return float((p * (p / q).log()).sum())


def fitted_on_states(cls, data):
    """p and q on the states, by the exact gradient: Z is a sum of sixteen terms."""
    model = cls(Event((1,)), statistics=Two()).double()
    optimiser = torch.optim.LBFGS(model.parameters(), max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def loss():
        optimiser.zero_grad()
        value = -(data * torch.log_softmax(model._log_unnorm(STATES), 0)).sum()
        value.backward()
        return value

    optimiser.step(loss)
    p, q = (torch.softmax(f(STATES), 0).detach() for f in (model._log_unnorm, model._log_reference))
    return p, q, model._responses(STATES).detach()


@pytest.mark.parametrize("cls", [FRAME, Flat])
def test_it_is_the_law_nearest_to_the_reference_with_the_data_s_means(cls):
    data = torch.softmax(1.5 * torch.randn(16, generator=torch.Generator().manual_seed(0), dtype=torch.float64), 0)
    p, q, h = fitted_on_states(cls, data)
    torch.testing.assert_close(p @ h, data @ h, atol=1e-5, rtol=0)
    assert kl(data, q) == pytest.approx(kl(data, p) + kl(p, q), abs=1e-5)  # Pythagoras

    rows = np.vstack([np.ones(16), h.numpy().T])  # a search over all laws with these means ends at the same one
    found = scipy.optimize.minimize(
        lambda r: float((r * np.log(np.maximum(r, 1e-12) / q.numpy())).sum()),
        np.full(16, 1 / 16),
        method="SLSQP",
        bounds=[(1e-9, 1)] * 16,
        constraints={"type": "eq", "fun": lambda r: rows @ r - np.concatenate([[1.0], (data @ h).numpy()])},
        options={"maxiter": 500, "ftol": 1e-12},
    )
    np.testing.assert_allclose(found.x, p.numpy(), atol=2e-4)
    assert kl(p, q) < kl(data, q)


def test_over_a_uniform_reference_no_other_law_with_its_means_has_more_entropy():
    data = torch.softmax(STATES.squeeze(1) * 0.7 + (STATES.squeeze(1) > 1).double(), 0)
    p, q, h = fitted_on_states(Flat, data)
    torch.testing.assert_close(q, torch.full_like(q, 1 / 16))
    fixed = torch.cat([torch.ones(16, 1).double(), h], 1)
    free = torch.linalg.svd(fixed.T).Vh[3:]  # directions that change no mean
    for direction in free:
        other = p + 0.3 * float((p / direction.abs()).min()) * direction
        torch.testing.assert_close(other @ h, p @ h)
        assert -float((other * other.log()).sum()) < -float((p * p.log()).sum())


@pytest.fixture(scope="module")
def skewed():
    rows = Rows(0, 2000, dtype=torch.float64)
    return 1000 + 40 * torch.exp(0.6 * rows.normal(1))


@pytest.fixture(scope="module")
def model(skewed):
    return fit("frame", skewed, steps=250, batch_size=128, seed=0, progress=False)


def test_after_the_fit_mean_responses_of_draws_and_data_agree(model, skewed):
    draws = model.sample(4000, generator=0)
    gap = model.responses(draws).mean(0) - model.responses(skewed).mean(0)
    assert float(gap.abs().max()) < 0.02
    before = model.responses(model.preprocess.to_data(Rows(0, 4000).normal(1))).mean(0)
    assert float((before - model.responses(skewed).mean(0)).abs().max()) > 0.05


def test_the_density_is_the_data_s_as_far_as_the_levels_see(model, skewed):
    edges = torch.tensor([1010.0, 1030, 1045, 1060, 1090, 1200]).double()
    grid = torch.linspace(960, 1400, 8801).double().unsqueeze(1)
    p = torch.softmax(-model.energy(grid).double(), 0)
    for edge in edges:
        assert float(p[grid[:, 0] < edge].sum()) == pytest.approx(float((skewed < edge).double().mean()), abs=0.04)


def test_images_take_up_the_texture():
    """Vertical stripes of four pixels at a random phase, with noise; white noise is where chains start."""
    rows = Rows(0, 300)
    phase = rows.uniform().reshape(-1, 1, 1) * 4
    x = (2 * torch.pi * (torch.arange(8.0) + phase) / 4).sin().expand(300, 8, 8) + 0.5 * rows.normal(8, 8)
    statistics = ImageStatistics((8, 8), wavelengths=(4.0,), orientations=2, levels=5)
    model = fit("frame", x, statistics=statistics, steps=100, lr=0.1, seed=0, progress=False)
    wanted = model.responses(x).mean(0)
    noise = model.preprocess.to_data(Rows(1, 200).normal(8, 8))
    gaps = [float((model.responses(u).mean(0) - wanted).abs().max()) for u in (model.sample(64, generator=0), noise)]
    assert gaps[0] < 0.4 * gaps[1]


def test_statistics_of_another_shape_are_refused():
    class Whole(nn.Module):
        def forward(self, u):
            return u.sum()

    with pytest.raises(ValueError, match="expected statistics"):
        FRAME(Event((2,)), statistics=Whole())
