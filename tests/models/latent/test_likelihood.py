"""Probabilities sum to one, samples follow them, and log probabilities agree with scipy-like closed forms."""

import itertools

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.models.latent.likelihood import DiscretisedLogistic, decoder_likelihood, network_input, soft_limit

COUNTED = [
    (Event((2,), "binary"), "bernoulli"),
    (Event((2,), "binary"), "categorical"),
    (Event((2,), "category", levels=4), "categorical"),
    (Event((2,), "integer", low=0, high=4), "categorical"),
    (Event((2,), "integer", low=0, high=4), "discretised_logistic"),
    (Event((2,), "integer", low=0, high=0), "discretised_logistic"),
]


def params(likelihood, rows=1, scale=2.0):
    width = likelihood.event.dims * likelihood.per_entry
    return scale * Rows(3, rows, dtype=torch.float64).normal(width)


@pytest.mark.parametrize(("event", "name"), COUNTED)
def test_probabilities_sum_to_one_over_all_observations(event, name):
    likelihood = decoder_likelihood(event, name)
    u = torch.tensor(list(itertools.product(range(event.levels), repeat=2)))
    log_prob = likelihood.log_prob(params(likelihood).expand(len(u), -1), u)
    assert log_prob.logsumexp(0).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("event", "name"), COUNTED[:-1])
def test_samples_have_the_probabilities(event, name):
    likelihood = decoder_likelihood(event, name)
    outputs, n = params(likelihood, scale=1.0), 40_000
    draws = likelihood.sample(outputs.expand(n, -1), Rows(0, n))
    event.check(draws)
    for u in itertools.product(range(event.levels), repeat=2):
        p = likelihood.log_prob(outputs, torch.tensor([u])).exp().item()
        share = (draws == torch.tensor(u)).all(1).double().mean().item()
        assert abs(share - p) < 4.5 * (p * (1 - p) / n) ** 0.5 + 1e-9


def test_normal_against_torch_distributions():
    likelihood = decoder_likelihood(Event((2, 3)))
    outputs, u = params(likelihood, 5), Rows(1, 5, dtype=torch.float64).normal(2, 3)
    mean, raw = outputs.reshape(5, 2, 2, 3).unbind(1)
    wanted = torch.distributions.Normal(mean, soft_limit(raw).exp()).log_prob(u).sum((1, 2))
    torch.testing.assert_close(likelihood.log_prob(outputs, u), wanted)


def test_logistic_is_the_probability_of_the_interval_around_a_level():
    likelihood = DiscretisedLogistic(Event((1,), "integer", low=0, high=16))
    outputs = torch.tensor([[0.3, -2.0]], dtype=torch.float64)
    mean, scale = 8 * 1.3, 8 * soft_limit(torch.tensor(-2.0, dtype=torch.float64)).exp()
    wanted = torch.sigmoid((11 + 0.5 - mean) / scale) - torch.sigmoid((11 - 0.5 - mean) / scale)
    torch.testing.assert_close(likelihood.log_prob(outputs, torch.tensor([[11]])), wanted.log().reshape(1))


def test_logistic_stays_finite_far_in_the_tails_with_a_gradient():
    likelihood = decoder_likelihood(Event((2,), "integer", low=0, high=255), "discretised_logistic")
    outputs = torch.tensor([[40.0, -40.0, -9.0, 9.0]], requires_grad=True)
    likelihood.log_prob(outputs, torch.tensor([[3, 250]])).sum().backward()
    assert outputs.grad.isfinite().all()


@pytest.mark.parametrize("name", ["categorical", "discretised_logistic"])
def test_mean_of_ordered_levels_is_that_of_the_samples(name):
    likelihood = decoder_likelihood(Event((3,), "integer", low=0, high=20), name)
    outputs = params(likelihood, scale=0.3)
    if name == "discretised_logistic":
        outputs[:, 3:] -= 3  # narrow: the outer levels hold next to nothing, so that the centre is the mean
    draws = likelihood.sample(outputs.expand(20_000, -1), Rows(0, 20_000)).double()
    torch.testing.assert_close(likelihood.mean(outputs)[0], draws.mean(0), atol=0.2, rtol=0)


def test_network_input_is_bounded_and_tells_all_levels_apart():
    ordered = network_input(torch.arange(5), Event((), "integer", low=0, high=4), torch.float64)
    assert ordered.tolist() == [-1, -0.5, 0, 0.5, 1]
    unordered = network_input(torch.arange(3), Event((), "category", levels=3), torch.float64)
    assert unordered.tolist() == torch.eye(3).tolist()


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match="expected likelihood as auto or one of normal"):
        decoder_likelihood(Event((2,)), "gauss")
    with pytest.raises(ValueError, match="is for binary units, got real; take 'auto'"):
        decoder_likelihood(Event((2,)), "bernoulli")
