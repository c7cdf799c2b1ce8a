"""Elementary log densities against scipy and against enumeration, in the far tails and in single precision."""

import math

import pytest
import scipy.special
import scipy.stats
import torch

from fairway.core import numerics
from fairway.core.random import Rows


def test_normal_against_scipy():
    x, mean, log_std = torch.randn(3, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = scipy.stats.norm.logpdf(x, mean, log_std.exp())
    assert torch.allclose(numerics.normal_log_prob(x, mean, log_std), torch.as_tensor(expected))
    assert torch.allclose(
        numerics.normal_log_prob(x, 1.0, 0.3), torch.as_tensor(scipy.stats.norm.logpdf(x, 1, math.exp(0.3)))
    )
    z = x.reshape(5, 2, 5)
    assert torch.allclose(numerics.standard_normal_log_prob(z), numerics.normal_log_prob(z).sum((1, 2)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_bernoulli_and_categorical_sum_to_one_with_extreme_logits(dtype):
    logits = torch.tensor([-200.0, -3.0, 0.0, 5.0, 200.0], dtype=dtype)
    both = torch.stack([numerics.bernoulli_log_prob(torch.full_like(logits, v), logits) for v in (0.0, 1.0)])
    assert torch.allclose(both.logsumexp(0), torch.zeros(5, dtype=dtype), atol=1e-6) and both.isfinite().all()
    table = torch.stack([logits, -logits, 0 * logits])
    levels = torch.arange(5).expand(3, 5)
    each = numerics.categorical_log_prob(levels, table.unsqueeze(1).expand(3, 5, 5))
    assert torch.allclose(each.logsumexp(1), torch.zeros(3, dtype=dtype), atol=1e-5)


def _levels(mean, log_scale, levels=256):
    centre = torch.linspace(-1, 1, levels, dtype=mean.dtype)
    first, last = torch.arange(levels) == 0, torch.arange(levels) == levels - 1
    return numerics.logistic_interval(centre, mean, log_scale, 1 / (levels - 1), first, last)


@pytest.mark.parametrize("mean", [-3.0, -1.0, 0.1, 1.0, 40.0])
@pytest.mark.parametrize("log_scale", [-9.0, -4.0, 0.0, 4.0])
def test_discretised_logistic_levels_sum_to_one_in_single_precision(mean, log_scale):
    log_prob = _levels(torch.tensor(mean), torch.tensor(log_scale))
    assert log_prob.dtype == torch.float32 and log_prob.isfinite().all()
    assert float(log_prob.double().exp().sum()) == pytest.approx(1, abs=1e-4)


def test_discretised_logistic_against_a_difference_of_sigmoids():
    log_prob = _levels(torch.tensor(0.2, dtype=torch.float64), torch.tensor(-1.0, dtype=torch.float64), 16)
    edges = (torch.linspace(-1, 1, 16, dtype=torch.float64)[:-1] + 1 / 15 - 0.2) * math.e
    cdf = torch.cat([torch.zeros(1), torch.sigmoid(edges), torch.ones(1)])
    assert torch.allclose(log_prob.exp(), cdf.diff(), atol=1e-12)


def test_far_tails_keep_a_finite_gradient():
    mean = torch.tensor(1e4, requires_grad=True)
    log_scale = torch.tensor(-5.0, requires_grad=True)
    loss = _levels(mean, log_scale)[3]
    loss.backward()
    assert loss.isfinite() and mean.grad.isfinite() and log_scale.grad.isfinite() and loss < -1e5


def test_sums_and_inverses():
    x = torch.randn(4, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(numerics.event_sum(x), x.sum((1, 2))) and torch.equal(
        numerics.event_sum(x[:, 0, 0]), x[:, 0, 0]
    )
    assert numerics.expand_as_rows(torch.arange(4), x).shape == (4, 1, 1)
    assert torch.allclose(numerics.log_mean_exp(x, 1), x.exp().mean(1).log())
    for y in (1e-6, 0.5, 3.0, 700.0):
        assert math.log1p(math.exp(numerics.softplus_inverse(y))) == pytest.approx(y) if y < 700 else True
        assert float(
            torch.nn.functional.softplus(torch.tensor(numerics.softplus_inverse(y)).double())
        ) == pytest.approx(y)


def test_log_sum_exp_is_torchs_with_its_gradient():
    x = (50 * Rows(0, 6, dtype=torch.float64).normal(5)).requires_grad_()
    for dim in (0, 1):
        ours, theirs = numerics.log_sum_exp(x, dim), torch.logsumexp(x, dim)
        torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(*(torch.autograd.grad(y.sum(), x)[0] for y in (ours, theirs)))
    ends = torch.tensor([[-torch.inf, -torch.inf], [-torch.inf, 3.0], [torch.inf, 0.0], [1e38, 1e38]])
    assert torch.equal(numerics.log_sum_exp(ends), torch.logsumexp(ends, 1))


def test_a_slope_is_the_same_eager_and_traced_and_has_a_slope_itself(monkeypatch):
    u, w = Rows(0, 6, dtype=torch.float64).normal(5), Rows(1, 5, dtype=torch.float64).normal(3).requires_grad_()
    found = []
    for tracing in (False, True):
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda tracing=tracing: tracing)
        slope = numerics.gradient(lambda u: (u @ w).tanh().sum(), u)
        found.append((slope, *torch.autograd.grad(slope.square().sum(), w)))
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found[0][0], (1 - (u @ w).tanh().square()) @ w.T)
    assert not u.requires_grad


def test_inside_of_function_transforms():
    seen = []
    torch.func.vmap(lambda x: seen.append(numerics.under_transform()) or x)(torch.zeros(2))
    assert seen == [True] and not numerics.under_transform()
