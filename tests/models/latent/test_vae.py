"""The bound against what can be known exactly: a linear Gaussian VAE, quadrature, importance sampling, differences."""

import math

import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.numerics import standard_normal_log_prob
from fairway.core.random import Rows, seeded
from fairway.models.latent.likelihood import soft_limit
from fairway.models.latent.posterior import kl_to_standard_normal
from fairway.models.latent.vae import VAE

D, Z = 4, 2


def build(event, context_event=None, **options):
    with seeded(0):
        return VAE(event, context_event, **{"latent": Z, "hidden": (16,), **options}).double().eval()


def limited(log_std):
    """What the network must put out for this log standard deviation (the inverse of `soft_limit`)."""
    return 5 * torch.atanh(log_std / 5)


def linear_gaussian(exact: bool):
    """u = W z + b + s e with orthogonal columns in W: the posterior is a diagonal Gaussian, which `hidden=()` holds."""
    model = build(Event((D,)), hidden=())
    w, _ = torch.linalg.qr(Rows(1, D, dtype=torch.float64).normal(Z))
    w = w * torch.tensor([1.5, 0.7], dtype=torch.float64)
    b, log_s = torch.tensor([0.3, -1.0, 0.0, 2.0], dtype=torch.float64), torch.tensor(-0.5, dtype=torch.float64)
    precision = 1 + w.square().sum(0) / (2 * log_s).exp()
    back = w.T / (2 * log_s).exp() / precision[:, None]
    if not exact:
        back = back + 0.3
    decoder, encoder = model.decoder.last, model.encoder.last
    with torch.no_grad():
        decoder.weight.copy_(torch.cat([w, torch.zeros_like(w)]))
        decoder.bias.copy_(torch.cat([b, limited(log_s).expand(D)]))
        encoder.weight.copy_(torch.cat([back, torch.zeros_like(back)]))
        encoder.bias.copy_(torch.cat([-back @ b, limited(-0.5 * precision.log())]))
    covariance = w @ w.T + (2 * log_s).exp() * torch.eye(D, dtype=torch.float64)
    return model, torch.distributions.MultivariateNormal(b, covariance)


def bound(model, u, draws, context=None):
    """Mean and standard error over draws of the bound, per row."""
    rows = [Rows(seed, len(u), dtype=torch.float64) for seed in range(draws)]
    values = torch.stack([-sum(model._bound_terms(u, context, r).values()) for r in rows])
    return values.mean(0), values.std(0) / draws**0.5


def test_bound_equals_the_log_density_at_the_exact_posterior():
    model, law = linear_gaussian(exact=True)
    u = law.sample((200,))
    mean, _ = bound(model, u, 400)
    # The draw's noise remains in the terms, not in their expectation: compare over all rows.
    error = (mean - law.log_prob(u)).mean().item()
    assert abs(error) < 0.02


def test_bound_is_below_the_log_density_by_the_divergence_of_the_posteriors():
    model, law = linear_gaussian(exact=False)
    exact, _ = linear_gaussian(exact=True)
    u = law.sample((200,))
    mean, error = bound(model, u, 400)
    assert (mean < law.log_prob(u) + 4 * error).all()
    (m1, s1), (m0, s0) = model.posterior(u), exact.posterior(u)
    gap = (s0 - s1 + 0.5 * (((m1 - m0) / s0.exp()).square() + (2 * (s1 - s0)).exp() - 1)).sum(1)
    assert gap.mean() > 0.1
    assert (law.log_prob(u) - mean).mean().item() == pytest.approx(gap.mean().item(), abs=0.05)


def test_kl_agrees_with_monte_carlo_and_is_zero_at_the_prior():
    mean, log_std = torch.tensor([[0.5, -1.0]]).double(), torch.tensor([[0.2, -0.7]]).double()
    z = mean + log_std.exp() * Rows(0, 200_000, dtype=torch.float64).normal(2)
    log_q = torch.distributions.Normal(mean, log_std.exp()).log_prob(z).sum(1)
    sampled = (log_q - standard_normal_log_prob(z)).mean()
    assert kl_to_standard_normal(mean, log_std).item() == pytest.approx(sampled.item(), abs=0.01)
    assert kl_to_standard_normal(torch.zeros(1, 3), torch.zeros(1, 3)).item() == 0


@pytest.mark.parametrize("event", [Event((3,)), Event((3,), "integer", low=0, high=4)])
def test_gradient_of_one_draw_of_the_bound_against_differences(event):
    model = build(event)
    u = Rows(0, 6, dtype=torch.float64).normal(3) if not event.counted else Rows(0, 6).integers(5, 3)

    def loss():
        return sum(cost.sum() for cost in model._bound_terms(u, None, Rows(7, 6, dtype=torch.float64)).values())

    loss().backward()
    weight = model.encoder.layers[0].linear.weight  # reached through the draw alone, and through the KL
    for index in [(0, 0), (5, 2), (15, 1)]:
        with torch.no_grad():
            values = []
            for shift in (1e-5, -2e-5):
                weight[index] += shift
                values.append(loss().item())
            weight[index] += 1e-5
        assert weight.grad[index].item() == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5, abs=1e-7)


def log_prob_by_quadrature(model, u, context=None):
    """log int p(u | z) N(z; 0, I) dz on a grid, for two latents."""
    axis = torch.linspace(-7, 7, 141, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis)
    cell = 2 * math.log(axis[1] - axis[0])

    def one(row, c):
        inputs = z if c is None else torch.cat([z, c.flatten().expand(len(z), -1)], 1)
        log_p = model._likelihood.log_prob(model.decoder(inputs), row.expand(len(z), *row.shape))
        return (log_p + standard_normal_log_prob(z)).logsumexp(0) + cell

    return torch.stack([one(row, None if context is None else context[i]) for i, row in enumerate(u)])


@pytest.mark.parametrize("conditional", [False, True])
def test_probabilities_by_quadrature_sum_to_one_and_the_bound_is_below(conditional):
    model = build(Event((2,), "integer", low=0, high=2), Event((), "category", levels=2) if conditional else None)
    u = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    context = torch.tensor([[0.0, 1.0]], dtype=torch.float64).expand(9, 2) if conditional else None
    exact = log_prob_by_quadrature(model, u, context)
    assert exact.logsumexp(0).item() == pytest.approx(0, abs=1e-6)
    mean, error = bound(model, u, 200, context)
    assert (mean < exact + 4 * error).all()


def test_bound_is_below_the_importance_sampled_log_probability():
    model = build(Event((6,), "binary"))
    u, k = (Rows(0, 20).uniform(6) < 0.5).long(), 4000
    mean, log_std = model.posterior(u)
    z = mean + log_std.exp() * Rows(1, k, dtype=torch.float64).normal(Z)[:, None]
    log_q = torch.distributions.Normal(mean, log_std.exp()).log_prob(z).sum(2)
    log_p = model._likelihood.log_prob(model.decoder(z.flatten(0, 1)), u.repeat(k, 1)).reshape(k, 20)
    log_w = log_p - 0.5 * z.square().sum(2) - 0.5 * Z * math.log(2 * math.pi) - log_q
    estimate = log_w.logsumexp(0) - math.log(k)
    assert (bound(model, u, 400)[0] < estimate + 0.02).all()
    torch.testing.assert_close(estimate, log_prob_by_quadrature(model, u), atol=0.05, rtol=0)


def test_the_importance_weights_average_to_the_probability_and_their_logs_to_the_bound():
    model, k = build(Event((6,), "binary")), 8000
    u = (Rows(0, 20).uniform(6) < 0.5).long()
    log_w = model._log_weight(u.repeat(k, 1), None, Rows(1, 20 * k, dtype=torch.float64)).reshape(k, 20)
    torch.testing.assert_close(log_w.logsumexp(0) - math.log(k), log_prob_by_quadrature(model, u), atol=0.05, rtol=0)
    mean, error = bound(model, u, 200)
    assert ((log_w.mean(0) - mean).abs() < 4 * error + 0.05).all()


def test_at_the_exact_posterior_every_weight_is_the_density():
    model, law = linear_gaussian(exact=True)
    u = law.sample((50,))
    log_w = model._log_weight(u, None, Rows(3, 50, dtype=torch.float64))
    torch.testing.assert_close(log_w, law.log_prob(u), atol=1e-6, rtol=0)


def test_samples_are_draws_from_the_likelihood_not_its_mean():
    model, law = linear_gaussian(exact=True)
    u = model._sample(40_000, None, Rows(0, 40_000, dtype=torch.float64))
    torch.testing.assert_close(u.mean(0), law.mean, atol=0.05, rtol=0)
    torch.testing.assert_close(u.T.cov(), law.covariance_matrix, atol=0.08, rtol=0)


def test_the_context_moves_the_samples():
    model = build(Event((2,)), Event((), "category", levels=2))
    with torch.no_grad():
        model.decoder.layers[0].linear.weight[:, Z:] *= 20
    draws = model.sample(500, context=torch.tensor([0, 1]), generator=0)
    assert (draws[0].mean(0) - draws[1].mean(0)).abs().max() > 0.1


def test_counted_data_keep_their_levels_and_units():
    model = build(Event((2, 2), "integer", low=-3, high=5))
    assert model.sample(100, generator=0).min() >= -3
    assert model.decode(torch.zeros(5, Z)).shape == (5, 2, 2)
    assert model.model_event == Event((2, 2), "integer", low=0, high=8)


def test_it_has_a_bound_but_no_density():
    model = build(Event((2,)))
    assert "bound" in model.capabilities
    with pytest.raises(CapabilityError, match="does not answer log_prob"):
        model.log_prob(torch.zeros(3, 2))


def test_counted_data_without_a_range_are_refused():
    with pytest.raises(ValueError, match=r"levels of counted data: Event\(\.\.\., low=\.\.\., high=\.\.\.\)"):
        VAE(Event((2,), "integer"))


def test_the_limit_of_the_scale_is_the_identity_near_zero():
    x = torch.linspace(-0.1, 0.1, 11, dtype=torch.float64)
    torch.testing.assert_close(soft_limit(x), x, atol=2e-5, rtol=0)
    assert soft_limit(torch.tensor(1e6)).item() <= 5


@pytest.mark.parametrize("posterior", ["iaf", "planar", "radial"])
def test_with_a_flow_for_a_posterior_weights_and_bound_are_those_of_the_same_model(posterior):
    model, k = build(Event((6,), "binary"), posterior=posterior, transforms=3), 4000
    spread = 0.05 if posterior == "iaf" else 0.15  # its networks are wide
    for parameter in model.bend.parameters():
        parameter.data.normal_(0, spread, generator=torch.Generator().manual_seed(0))
    u = (Rows(0, 10).uniform(6) < 0.5).long()
    exact = log_prob_by_quadrature(model, u)
    log_w = model._log_weight(u.repeat(k, 1), None, Rows(1, 10 * k, dtype=torch.float64)).reshape(k, 10)
    share = log_w.softmax(0).square().sum(0)  # 1 / ess
    assert ((log_w.logsumexp(0) - math.log(k) - exact).abs() < 5 * share.sqrt()).all() and (share < 0.05).all()
    mean, error = bound(model, u, 200)
    assert (mean < exact + 4 * error).all()
    assert ((log_w.mean(0) - mean).abs() < 4 * error + 0.08).all()
    q, rows = model.posterior(u), Rows(3, 10, dtype=torch.float64)
    z, _ = q.draw_and_log_prob(rows)
    again = model._log_weight(u, None, Rows(3, 10, dtype=torch.float64))
    torch.testing.assert_close(again, model._log_joint(u, z) - q.log_prob(z), atol=1e-8, rtol=1e-8)
