"""Heads against scipy: the densities, the draws as inverse cdfs, and the ends of both."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from fairway.core.event import Event
from fairway.models.autoregressive.heads import (
    Bernoulli,
    Categorical,
    DiscretisedLogistic,
    GaussianMixture,
    head_for,
    inverse_cdf,
)
from fairway.testing.statistics import ALARM, chi_square_p

COUNTED = [Bernoulli(), Categorical(5), DiscretisedLogistic(17, 3), DiscretisedLogistic(256, 5)]
HEADS = [*COUNTED, GaussianMixture(3)]


def named(head):
    return f"{type(head).__name__}-{getattr(head, 'levels', head.params)}"


def values_of(head):
    return torch.arange({Bernoulli: 2, Categorical: head.params}.get(type(head)) or head.levels)


def params_of(head, *shape, scale=1.0):
    return head.initial().double() + scale * torch.randn(*shape, head.params, dtype=torch.float64)


def components_of(head, params):
    """Weights, means and log scales for scipy."""
    logits, mean, log_scale = head.split(params)
    return logits.softmax(-1).numpy(), mean.numpy(), log_scale.numpy()


def uniforms_of(head, n):
    return torch.rand(n, head.uniforms, dtype=torch.float64)


# -- densities ------------------------------------------------------------------------------------------------------
def test_bernoulli_and_categorical_as_in_scipy():
    logits = torch.randn(40, 1, dtype=torch.float64)
    x = torch.randint(0, 2, (40,))
    expected = stats.bernoulli.logpmf(x.numpy(), torch.sigmoid(logits[:, 0]).numpy())
    np.testing.assert_allclose(Bernoulli().log_prob(logits, x).numpy(), expected, rtol=1e-9)
    logits, x = torch.randn(40, 5, dtype=torch.float64), torch.randint(0, 5, (40,))
    law = [stats.rv_discrete(values=(range(5), p / p.sum())) for p in logits.softmax(-1).numpy()]
    expected = [p.logpmf(k) for p, k in zip(law, x.tolist(), strict=True)]
    np.testing.assert_allclose(Categorical(5).log_prob(logits, x).numpy(), expected, rtol=1e-9)


def test_gaussian_mixture_as_in_scipy():
    head = GaussianMixture(3)
    params, x = params_of(head, 40), torch.randn(40, dtype=torch.float64)
    weight, mean, log_scale = components_of(head, params)
    expected = np.log((weight * stats.norm.pdf(x.numpy()[:, None], mean, np.exp(log_scale))).sum(1))
    np.testing.assert_allclose(head.log_prob(params, x).numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("levels", [5, 17, 256])
def test_discretised_logistic_as_in_scipy(levels):
    """P(x) = F(x + 1/2) - F(x - 1/2), in units of half the range; the ends take the tails."""
    head = DiscretisedLogistic(levels, 4)
    params, x = params_of(head, levels), torch.arange(levels)
    weight, mean, log_scale = components_of(head, params)
    edges = (np.arange(levels + 1) - 0.5) * 2 / (levels - 1) - 1
    edges[0], edges[-1] = -np.inf, np.inf
    cdf = [stats.logistic.cdf(e[:, None], mean, np.exp(log_scale)) for e in (edges[:-1], edges[1:])]
    expected = np.log((weight * (cdf[1] - cdf[0])).sum(1))
    np.testing.assert_allclose(head.log_prob(params, x).numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("head", COUNTED, ids=named)
@pytest.mark.parametrize("scale", [0.0, 1.0, 4.0])
def test_probabilities_sum_to_one(head, scale):
    values = values_of(head)
    params = params_of(head, 20, 1, scale=scale).expand(20, len(values), -1)
    total = head.log_prob(params, values.expand(20, -1)).exp().sum(-1)
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_levels_far_in_the_tail_keep_a_value_and_a_gradient(dtype):
    """A narrow logistic at one end, asked for the other: hundreds of nats, not minus infinity."""
    head = DiscretisedLogistic(256, 1)
    params = torch.tensor([0.0, -1.0, -20.0], dtype=dtype, requires_grad=True)
    log_prob = head.log_prob(params, torch.tensor([0, 1, 128, 254, 255]))
    assert bool(log_prob.isfinite().all()) and float(log_prob[-1].detach()) < -500
    assert bool((log_prob.diff() < 0).all())
    (gradient,) = torch.autograd.grad(log_prob.sum(), params)
    assert bool(gradient.isfinite().all()) and float(gradient[1]) > 0  # the mean is called towards the data


@pytest.mark.parametrize("head", [DiscretisedLogistic(17, 2), GaussianMixture(2)], ids=named)
def test_no_component_collapses(head):
    _, _, log_scale = head.split(torch.full((head.params,), -1e6))
    assert bool((log_scale >= head.floor - 1e-6).all()) and bool(log_scale.isfinite().all())
    wide = head.split(torch.full((head.params,), 3.0))[2]  # well above the floor it is the raw number
    torch.testing.assert_close(wide, torch.full_like(wide, 3.0), atol=0.01, rtol=0)


@pytest.mark.parametrize("head", HEADS, ids=named)
def test_log_prob_follows_its_parameters(head):
    params = params_of(head, 6).requires_grad_()
    x = torch.randn(6, dtype=torch.float64) if isinstance(head, GaussianMixture) else values_of(head)[[0, 1, -1] * 2]
    assert torch.autograd.gradcheck(lambda p: head.log_prob(p, x), params)


def test_the_first_law_is_spread_over_the_range():
    probabilities = DiscretisedLogistic(256, 5).log_prob(DiscretisedLogistic(256, 5).initial(), torch.arange(256)).exp()
    assert float(probabilities.max() / probabilities[1:-1].min()) < 40 and float(probabilities.min()) > 1e-4
    u = torch.linspace(-3, 3, 50)
    assert float(GaussianMixture(10).log_prob(GaussianMixture(10).initial().expand(50, -1), u).min()) > -6


# -- draws ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("head", COUNTED, ids=named)
def test_draws_are_as_likely_as_said(head):
    params = params_of(head)
    draws = head.sample(params.expand(8000, -1), uniforms_of(head, 8000))
    values = values_of(head)
    assert draws.dtype == torch.float64 and bool(torch.isin(draws, values.double()).all())
    counts = torch.bincount(draws.long(), minlength=len(values))
    assert chi_square_p(counts, 8000 * head.log_prob(params.expand(len(values), -1), values).exp()) > ALARM


def test_gaussian_draws_follow_the_cdf():
    head = GaussianMixture(3)
    params = params_of(head)
    weight, mean, log_scale = components_of(head, params)
    draws = head.sample(params.expand(4000, -1), uniforms_of(head, 4000)).numpy()
    cdf = lambda x: (weight * stats.norm.cdf(x[:, None], mean, np.exp(log_scale))).sum(1)  # noqa: E731
    assert stats.kstest(draws, cdf).pvalue > ALARM


def test_one_component_is_the_inverse_cdf_of_its_second_uniform():
    u = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    uniforms = torch.stack([torch.full_like(u, 0.5), u], -1)
    params = torch.tensor([0.0, 0.3, -0.7], dtype=torch.float64).expand(50, -1)
    gaussian, logistic = GaussianMixture(1), DiscretisedLogistic(1001, 1)
    scale = gaussian.split(params)[2][0].exp().item()
    np.testing.assert_allclose(gaussian.sample(params, uniforms).numpy(), stats.norm.ppf(u, 0.3, scale), rtol=1e-6)
    scale = logistic.split(params)[2][0].exp().item()
    expected = np.clip(np.round((stats.logistic.ppf(u, 0.3, scale) + 1) * 500), 0, 1000)
    np.testing.assert_array_equal(logistic.sample(params, uniforms).numpy(), expected)


@pytest.mark.parametrize("head", HEADS, ids=named)
def test_the_ends_of_the_uniforms(head):
    ends = torch.tensor([0.0, 1 - 2.0**-24]).unsqueeze(-1).expand(2, head.uniforms)
    draws = head.sample(params_of(head).float().expand(2, -1), ends)
    assert bool(draws.isfinite().all())
    if not isinstance(head, GaussianMixture):
        assert sorted(draws.tolist()) == [0, values_of(head)[-1]]


def test_inverse_cdf_skips_what_is_impossible():
    logits = torch.tensor([-math.inf, 0.0, -math.inf, math.log(3.0), -math.inf])
    uniforms = torch.tensor([0.0, 0.2499, 0.2501, 1 - 2.0**-24]).unsqueeze(-1)
    assert inverse_cdf(logits.expand(4, -1), uniforms).tolist() == [1, 1, 3, 3]


# -- what the network sees, and which head it is ----------------------------------------------------------------------
def test_features():
    assert Bernoulli().embed(torch.tensor([0, 1]), torch.float32).tolist() == [[-1.0], [1.0]]
    assert torch.equal(Categorical(3).embed(torch.tensor([2, 0]), torch.float32), torch.eye(3)[[2, 0]])
    assert DiscretisedLogistic(5, 1).embed(torch.arange(5), torch.float32).flatten().tolist() == [-1, -0.5, 0, 0.5, 1]
    assert GaussianMixture(1).embed(torch.tensor([2.5]), torch.float64).dtype == torch.float64
    assert all(h.embed(torch.ones(4, 2), torch.float32).shape == (4, 2, h.features) for h in HEADS)


@pytest.mark.parametrize(
    ("event", "head", "params"),
    [
        (Event((3,)), GaussianMixture, 30),
        (Event((3,), "binary"), Bernoulli, 1),
        (Event((3,), "integer", low=0, high=1), Bernoulli, 1),
        (Event((3,), "integer", low=0, high=3), Categorical, 4),
        (Event((3,), "category", levels=9), Categorical, 9),
        (Event((3,), "tokens", levels=9), Categorical, 9),
    ],
)
def test_the_head_of_an_event(event, head, params):
    found = head_for(event)
    assert type(found) is head and found.params == params


def test_many_ordered_levels_take_logistics():
    head = head_for(Event((3,), "integer", low=0, high=255), components=2)
    assert type(head) is DiscretisedLogistic and (head.levels, head.components, head.params) == (256, 2, 6)


def test_refusals():
    with pytest.raises(ValueError, match="expected an event with low and high"):
        head_for(Event((2,), "integer"))
    with pytest.raises(ValueError, match="expected components as a positive integer, got 0"):
        head_for(Event((2,)), components=0)
