"""Importance-weighted bounds on a model whose evidence is known: z ~ N(0, 1), u | z ~ N(z, 1), so u ~ N(0, 2)."""

import math

import pytest
import torch

from fairway.core.capability import CapabilityError, HasBound, HasSample
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.numerics import normal_log_prob
from fairway.metrics.evaluate import evaluate
from fairway.metrics.importance import importance_bound


class Chain(HasSample, HasBound, Model):
    """q(z | u) = N(slope u, scale^2); the exact posterior is slope 1/2, scale sqrt(1/2)."""

    def __init__(self, event, context_event=None, *, slope=0.5, scale=0.5**0.5):
        super().__init__(event, context_event)
        self.slope, self.scale = slope, scale

    def _sample(self, n, context, rows):
        return rows.normal(1) + rows.normal(1)

    def _log_weight(self, u, context, rows):
        noise = rows.normal(1)
        z = self.slope * u + self.scale * noise
        log_q = normal_log_prob(noise) - math.log(self.scale)
        return (normal_log_prob(u, z) + normal_log_prob(z) - log_q).sum(1)

    def _bound_terms(self, u, context, rows):
        return {"loss": -self._log_weight(u, context, rows)}


@pytest.fixture
def u():
    return math.sqrt(2) * torch.randn(300, 1, generator=torch.Generator().manual_seed(0))


def evidence(u):
    return normal_log_prob(u.double(), 0.0, 0.5 * math.log(2)).sum(1)


def build(**how):
    return Chain(Event((1,)), **how).eval()


def test_with_the_exact_posterior_one_draw_is_enough(u):
    found = importance_bound(build(), u, draws=5)
    torch.testing.assert_close(found.value, evidence(u), atol=1e-5, rtol=0)
    assert found.mc_error.max() < 1e-3 and found.terms["ess"].min() > 4.999


def test_more_draws_are_a_tighter_bound_up_to_the_evidence(u):
    model = build(slope=0.3, scale=0.9)

    def mean(k, seeds=8):
        return sum(importance_bound(model, u, draws=k, generator=seed).nats for seed in range(seeds)) / seeds

    means = [mean(k) for k in (1, 3, 10, 100)]
    assert means == sorted(means) and means[0] < means[-1] - 0.1
    assert means[-1] == pytest.approx(float(evidence(u).mean()), abs=0.01)


def test_one_draw_is_the_evidence_lower_bound(u):
    model = build(slope=0.3, scale=0.9)
    one, elbo = importance_bound(model, u, draws=1), evaluate(model, u, samples=200)
    assert torch.equal(one.value, one.terms["elbo"]) and one.mc_error.eq(0).all()
    assert one.nats == pytest.approx(elbo.nats, abs=0.15)
    assert importance_bound(model, u, draws=200).terms["elbo"].mean() == pytest.approx(elbo.nats, abs=0.02)


def test_the_error_is_the_spread_over_seeds_and_the_ess_says_what_draws_are_worth(u):
    model = build(slope=0.3, scale=0.9)
    found = [importance_bound(model, u[:20], draws=50, generator=seed) for seed in range(80)]
    spread = torch.stack([f.value for f in found]).std(0)
    said = torch.stack([f.mc_error for f in found]).mean(0)
    torch.testing.assert_close(said, spread, rtol=0.35, atol=0.002)
    assert 10 < float(found[0].terms["ess"].mean()) < 48


def test_it_is_a_lower_bound_in_data_units_with_its_protocol(u):
    model = build()
    model.preprocess.fit(10 * u)
    found = importance_bound(model, 10 * u, draws=3, protocol="times ten")
    assert (found.relation, found.method, found.protocol) == ("lower", "estimate", "times ten")
    scale = (10 * u).std()
    units = ((10 * u - (10 * u).mean()) / scale).double()
    torch.testing.assert_close(found.value, evidence(units) - scale.double().log(), atol=0.01, rtol=0)


def test_batches_do_not_matter_and_the_seed_does(u):
    model = build(scale=1.0)
    whole, parts = importance_bound(model, u, draws=4), importance_bound(model, u, draws=4, batch_size=70)
    torch.testing.assert_close(whole.value, parts.value)
    assert not torch.equal(whole.value, importance_bound(model, u, draws=4, generator=1).value)


def test_what_has_no_weights_is_refused(u, loose):
    with pytest.raises(CapabilityError, match="needs a bound and `_log_weight`; Loose has not"):
        importance_bound(loose(Event((1,))), u)
    with pytest.raises(ValueError, match="draws of at least 1"):
        importance_bound(build(), u, draws=0)
    with pytest.raises(ValueError, match=r"rows of shape \(n, \*\(1,\)\)"):
        importance_bound(build(), u[0])
