"""DDPM: the paper's own bound and steps, one F under three predictions, and variances that are learned."""

import math

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.models.diffusion.ddpm import DDPM
from fairway.models.diffusion.discrete import betas_named
from fairway.objectives.denoising import Denoising
from fairway.objectives.hybrid_denoising import HybridDenoising
from fairway.samplers.reverse_steps import ReverseSteps
from fairway.training.fit import fit


class Says(torch.nn.Module):
    """Fixed multiples of what it sees: F, and with a second one 2 w - 1."""

    def __init__(self, *factors):
        super().__init__()
        self.factors = factors

    def forward(self, u, t, context=None):
        return torch.cat([factor * u for factor in self.factors], 1)


class PlusAndMinus:
    """Noise +1 for one row and -1 for the other: the mean of a quadratic over them is its expectation."""

    def spawn(self, *keys):
        return self

    def normal(self, *shape):
        return torch.tensor([[1.0], [-1.0]], dtype=torch.float64)


@pytest.mark.parametrize(("betas", "levels"), [("linear", 60), ("cosine", 12)])
def test_the_bound_is_the_papers(betas, levels):
    """Ho et al. 2020, eq. 5 and 7 with variances beta_t, in the paper's letters; F = 0.2 x."""
    model = DDPM(Event((1,)), levels=levels, betas=betas, network=Says(0.2)).double().eval()
    x0, eps = 0.8, torch.tensor([1.0, -1.0], dtype=torch.float64)
    beta = betas_named(betas, levels)
    abar = (1 - beta).cumprod(0)
    loss = torch.zeros((), dtype=torch.float64)
    for i in range(levels):
        xt = abar[i].sqrt() * x0 + (1 - abar[i]).sqrt() * eps
        eps_theta = (1 - abar[i]).sqrt() * xt - abar[i].sqrt() * 0.2 * xt
        if i == 0:
            mean = (xt - (1 - abar[0]).sqrt() * eps_theta) / abar[0].sqrt()
            loss += (0.5 * (x0 - mean) ** 2 / beta[0] + 0.5 * (2 * math.pi * beta[0]).log()).mean()
            continue
        small = (1 - abar[i - 1]) / (1 - abar[i]) * beta[i]
        scale = beta[i] ** 2 / (2 * beta[i] * (1 - beta[i]) * (1 - abar[i]))  # eq. 12
        loss += (scale * (eps - eps_theta) ** 2).mean() + 0.5 * (small / beta[i] - 1 - (small / beta[i]).log())
    loss += 0.5 * (abar[-1] * x0**2 + (1 - abar[-1]) - 1 - (1 - abar[-1]).log())
    terms = model._bound_terms(torch.full((2, 1), x0, dtype=torch.float64), None, PlusAndMinus())
    assert float(sum(terms.values()).mean()) == pytest.approx(float(loss), rel=1e-8)


def test_the_cost_of_a_step_is_a_divergence_of_two_normals():
    """With learned variances, against torch's, the posterior in the paper's letters (eq. 6 and 7)."""
    model = DDPM(Event((2,)), levels=40, learned_variance=True, network=Says(0.3, 0.5)).double()
    rows, i = Rows(0, 30, dtype=torch.float64), 17
    u, eps = rows.normal(2), rows.normal(2)
    beta = betas_named("linear", 40)
    abar = (1 - beta).cumprod(0)
    now, before, b = abar[i - 1], abar[i - 2], beta[i - 1]
    xt = now.sqrt() * u + (1 - now).sqrt() * eps
    small = (1 - before) / (1 - now) * b

    def mean(x0):
        return before.sqrt() * b / (1 - now) * x0 + (1 - b).sqrt() * (1 - before) / (1 - now) * xt

    share = (0.5 * xt + 1) / 2
    variance = torch.exp(share * b.log() + (1 - share) * small.log())
    q = torch.distributions.Normal(mean(u), small.sqrt().expand(30, 2))
    p = torch.distributions.Normal(mean(now.sqrt() * xt + (1 - now).sqrt() * 0.3 * xt), variance.sqrt())
    t, s = (torch.full((30,), k / 40, dtype=torch.float64) for k in (i, i - 1))
    found = model._step_cost(u, eps, model._reverse_terms(xt, t, s, None), t, s)
    torch.testing.assert_close(found, torch.distributions.kl_divergence(q, p).sum(1))


@pytest.mark.parametrize("prediction", ["noise", "data", "v"])
def test_one_answer_under_every_prediction(prediction):
    """The same F gives the same data; what is regressed is what the name says."""
    model = DDPM(Event((2,)), prediction=prediction, network=Says(0.4)).double()
    rows = Rows(0, 20, dtype=torch.float64)
    u, eps, t = rows.normal(2), rows.normal(2), 0.05 + 0.9 * rows.uniform()
    alpha, sigma = (c.unsqueeze(1) for c in model.schedule(t))
    data, noise = model._data_and_noise(u, t, None)
    torch.testing.assert_close(data, alpha * u + 0.4 * sigma * u)
    torch.testing.assert_close(alpha * data + sigma * noise, u)
    expected = {"noise": noise, "data": data, "v": alpha * noise - sigma * data}[prediction]
    torch.testing.assert_close(model._network(u, t, None), expected)
    truth = {"noise": eps, "data": u, "v": alpha * eps - sigma * u}[prediction]
    torch.testing.assert_close(model._regressed(u, eps, t), truth)


def test_what_it_is_by_default():
    plain, learned = (DDPM(Event((2,)), learned_variance=flag, hidden=(8,)) for flag in (False, True))
    assert isinstance(plain.default_objective(), Denoising) and plain.default_objective().times == "uniform"
    assert isinstance(learned.default_objective(), HybridDenoising)
    for sampler in (plain.default_sampler(), learned.default_sampler()):
        assert isinstance(sampler, ReverseSteps) and sampler.steps is None  # the model's own


def test_a_draw_of_the_bound_looks_at_a_hundred_levels_at_most():
    model = DDPM(Event((1,)), network=Says(0.0)).double().eval()
    calls, forward = [], model.network.forward
    model.network.forward = lambda u, t, c: calls.append(len(u)) or forward(u, t, c)
    x = torch.zeros(3, 1, dtype=torch.float64)
    model.bound(x, generator=0)
    assert sum(calls) == 3 * DDPM.bound_evaluations


def test_few_levels_of_the_bound_are_right_on_average(monkeypatch):
    model = DDPM(Event((1,)), levels=200, network=Says(0.3)).double().eval()
    x = torch.full((2000, 1), 0.7, dtype=torch.float64)
    some = model.bound(x, generator=0)
    monkeypatch.setattr(DDPM, "bound_evaluations", 200)
    whole = model.bound(x, generator=1)
    error = ((float(some.var()) + float(whole.var())) / 2000) ** 0.5
    assert abs(float(some.mean() - whole.mean())) < 4 * error


def test_your_own_network_must_speak_of_variances():
    model = DDPM(Event((1, 4, 4)), levels=30, learned_variance=True, network=Says(0.1)).double()
    with pytest.raises(ValueError, match=r"expected a network of learned variances to return \(3, 2, 4, 4\)"):
        model.denoise(torch.zeros(3, 1, 4, 4, dtype=torch.float64), 0.5)
    right = DDPM(Event((1, 4, 4)), levels=30, learned_variance=True, network=Says(0.1, 0.0)).double()
    assert right.sample(2, generator=0).shape == (2, 1, 4, 4)


def test_wrong_names_are_refused():
    for wrong in ({"prediction": "velocity"}, {"betas": "line"}, {"levels": 10}):
        with pytest.raises(ValueError, match="expected"):
            DDPM(Event((2,)), **wrong)


@pytest.mark.parametrize("learned", [False, True])
def test_it_learns_bytes_and_does_not_tell_them_in_fewer_than_eight_bits(learned):
    """Uniform bytes; both answers, of the steps and of the flow, at 8 bits and not below."""
    x = torch.arange(256).repeat(8).unsqueeze(1)
    event = Event((1,), "integer", low=0, high=255)
    options = {"levels": 60, "betas": "cosine", "learned_variance": learned}
    model = fit(DDPM(event, hidden=(32, 32), **options), x, steps=500, seed=0, lr=4e-3, validation=0, progress=False)
    bits = -model.bound(x, samples=4, generator=0).double() / math.log(2)
    error = float(bits.std()) / len(x) ** 0.5
    assert 8 - 3 * error < float(bits.mean()) < 8.6
