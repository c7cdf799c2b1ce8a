"""A network that learns to tell two sets apart: calibrated when they are one law, with power beyond two moments."""

import math

import pytest
import torch
from torch import nn

from fairway.metrics.two_sample.classifier import classifier_test

JS = 0.2013  # nats, of two unit Gaussians sqrt 2 apart, by quadrature


def test_p_values_are_uniform_under_one_law(null_p_values, looks_uniform, monkeypatch):
    monkeypatch.setattr("fairway.metrics.two_sample.classifier.STEPS", 3)  # validity does not rest on a good fit
    assert looks_uniform(null_p_values(classifier_test, 120, permutations=99))


def test_it_has_power_where_means_and_variances_agree(same_moments):
    found = classifier_test(*same_moments)
    assert found.p_value <= 0.01 and found.statistic.value > 0.52


def test_its_accuracy_is_the_best_possible_on_two_gaussians():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(2000, 2, generator=generator) for _ in range(2))
    found = classifier_test(x, y + torch.tensor([1.0, 1.0]))
    best = 0.5 * (1 + math.erf(0.5))  # Phi(|shift| / 2), |shift| = sqrt 2
    assert found.statistic.value == pytest.approx(best, abs=4 * found.statistic.standard_error)
    bound = found.info["jensen_shannon"]
    assert (bound.relation, bound.unit) == ("lower", "nats")
    assert JS - 0.04 < bound.value < JS + 3 * bound.standard_error and bound.standard_error < 0.02
    assert found.statistic.standard_error == pytest.approx(math.sqrt(best * (1 - best) / 2000), rel=0.05)


def test_accuracy_is_one_half_under_one_law_whatever_the_sizes():
    rows = torch.randn(3000, 2, generator=torch.Generator().manual_seed(0))
    found = classifier_test(rows[:500], rows[500:])
    assert abs(found.statistic.value - 0.5) < 4 * found.statistic.standard_error and found.p_value > 0.01


def test_it_is_a_function_of_the_seed_and_leaves_the_global_one():
    x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    before = torch.get_rng_state()
    first, again, other = (classifier_test(x, x + 0.3, generator=seed) for seed in (3, 3, 4))
    assert first == again and first != other and torch.equal(before, torch.get_rng_state())


def test_a_network_of_ones_own_judges_and_what_it_cannot_see_stays_unseen(same_moments):
    x, y = same_moments
    blind = classifier_test(x, y, network=nn.Linear(2, 1))  # sees means only
    assert blind.p_value > 0.05 and classifier_test(x, y + 0.5, network=nn.Linear(2, 1)).p_value <= 0.005
    with pytest.raises(ValueError, match="at least 4 rows"):
        classifier_test(x[:3], y)
