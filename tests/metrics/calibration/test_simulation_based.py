"""Ranks of the truth: uniform for the right posterior, at its own rate; every usual mistake is caught."""

import pytest
import torch

from fairway.core.event import Event
from fairway.metrics.calibration.simulation_based import completion_calibration, simulation_based_calibration
from fairway.models.classical.mixture import GMM


def test_the_right_posterior_passes_at_its_own_rate(posterior, pairs):
    found = [
        simulation_based_calibration(posterior(), *pairs(60, seed), draws=19, generator=seed) for seed in range(150)
    ]
    assert sum(f.rejects(0.1) for f in found) / 150 == pytest.approx(0.1, abs=0.08)
    assert found[0].u.shape == (60, 2) and found[0].draws == 19


@pytest.mark.parametrize(
    "mistake", [{"scale": 0.5}, {"scale": 1.0}, {"bias": 0.25}, {"slope": 0.8}], ids=["narrow", "wide", "bias", "slope"]
)
def test_every_usual_mistake_is_caught(posterior, pairs, mistake):
    found = simulation_based_calibration(posterior(**mistake), *pairs(500))
    assert found.rejects(0.01) and found.chi_square.min() < 0.01


def test_an_overconfident_posterior_has_ranks_at_both_ends(posterior, pairs):
    u = simulation_based_calibration(posterior(scale=0.4), *pairs(500)).u
    assert float(((u < 0.1) | (u > 0.9)).double().mean()) > 0.35  # 0.2 when calibrated


def test_the_prior_is_calibrated_entry_by_entry_and_a_quantity_of_both_sees_it(posterior, pairs):
    prior, (x, c) = posterior(slope=0.0, scale=1.0), pairs(500)
    assert not simulation_based_calibration(prior, x, c).rejects(0.01)

    def distance(x, c):
        return (x - c.unsqueeze(1)).square().sum(2, keepdim=True)

    assert simulation_based_calibration(prior, x, c, quantities=distance).rejects(0.001)
    assert not simulation_based_calibration(posterior(), x, c, quantities=distance).rejects(0.01)


def mixture(spread=1.0):
    model = GMM(Event((3,)), components=2).double().eval()
    factor = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [-0.5, 0.3, 0.7]]).double()
    covariance = (factor @ factor.T) * spread
    means = torch.tensor([[-1.0, 0.0, 1.0], [2.0, 1.0, -1.0]]).double()
    model.set_components(torch.tensor([0.3, 0.7]), means, covariance.expand(2, 3, 3))
    return model


def test_exact_completions_pass_and_those_of_another_law_do_not():
    x, observed = mixture().sample(500, generator=0), torch.tensor([True, False, False])
    right = completion_calibration(mixture(), x, observed)
    assert right.u.shape == (500, 2) and not right.rejects(0.01)
    assert completion_calibration(mixture(0.6), x, observed).rejects(0.001)


def test_what_has_no_ranks_is_refused(posterior, pairs):
    x, c = pairs(20)
    with pytest.raises(ValueError, match=r"quantities of shape \(n, m, k\), got \(20, 1\)"):
        simulation_based_calibration(posterior(), x, c, quantities=lambda x, c: x.sum(2))
    with pytest.raises(ValueError, match="with an entry left out"):
        completion_calibration(mixture(), torch.ones(20, 3).double(), torch.ones(3).bool())
    with pytest.raises(ValueError, match="n of at least 10"):
        simulation_based_calibration(posterior(), x[:5], c[:5])
