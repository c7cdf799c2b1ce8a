"""Copies alarm, a few among many too; fresh, shrunk, shifted and blurred rows do not."""

import math

import pytest
import torch

from fairway.metrics.features import Named
from fairway.metrics.memorisation import _at_least, mann_whitney, memorisation, nearest_rows


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module", params=[2, 16, 64])
def parts(request):
    """Training, held-out and fresh rows."""
    return [normal(800, request.param, seed=seed) for seed in (1, 2, 3)]


def test_a_replay_of_the_training_rows_alarms_and_covers_like_fresh_data(parts):
    train, held_out, fresh = parts
    found = memorisation(train, train, held_out)
    assert found.p_value < 1e-12 and found.z < -20 and found.copied.value > 0.95
    was = memorisation(fresh, train, held_out)
    assert abs(found.coverage.value - was.coverage.value) < 0.04  # coverage alone cannot tell


def test_fresh_data_do_not_alarm(parts):
    train, held_out, fresh = parts
    found = memorisation(fresh, train, held_out)
    assert found.p_value > 0.01 and abs(found.z) < 3 and found.copied.value < 4 * found.copied.standard_error


@pytest.mark.parametrize("change", ["shrunk", "shifted", "half", "wide"])
def test_a_model_that_is_wrong_but_copies_nothing_does_not_alarm(parts, change):
    train, held_out, fresh = parts
    wrong = {"shrunk": 0.6 * fresh, "shifted": fresh + 1, "wide": 1.3 * fresh, "half": fresh[fresh[:, 0] > 0]}[change]
    assert memorisation(wrong, train, held_out).p_value > 1e-3


def test_one_copy_in_ten_is_seen_even_among_rows_that_are_far_out(parts):
    train, held_out, fresh = parts
    found = memorisation(torch.cat([train[:80], 1.5 * fresh[80:]]), train, held_out)
    assert found.p_value < 1e-5 and found.copied.value == pytest.approx(0.1, abs=0.06)


def test_the_false_alarm_rate_is_what_it_says():
    alarms = 0
    for seed in range(100):
        train, held_out, fresh = normal(240, 3, seed=seed).split(80)
        alarms += memorisation(fresh, train, held_out).p_value < 0.1
    assert 1 <= alarms <= 18


def test_noise_of_the_size_of_the_spacing_hides_a_copy_in_the_plane():
    train, held_out, _ = (normal(800, 2, seed=seed) for seed in (1, 2, 3))
    assert memorisation(train + 0.3 * normal(800, 2, seed=4), train, held_out).p_value > 1e-3  # known blindness


def test_duplicated_training_rows_and_counted_rows_do_not_confuse_it():
    train, held_out, fresh = (normal(300, 4, seed=seed) for seed in (1, 2, 3))
    twice = torch.cat([train, train])
    assert memorisation(train, twice, held_out).p_value < 1e-9 < memorisation(fresh, twice, held_out).p_value
    counts = [(3 * part[:, :2]).round() for part in (fresh, train, held_out)]  # most rows occur in both sets
    assert memorisation(*counts).p_value > 0.01


def test_copies_are_seen_in_the_features_they_were_made_in():
    train, held_out, fresh = (normal(300, 6, seed=seed) for seed in (1, 2, 3))
    half = Named("first three", lambda x: x[:, :3])
    mixed = torch.cat([train[:, :3], fresh[:, 3:]], 1)  # copies in half of the entries
    found = memorisation(mixed, train, held_out, half)
    assert found.p_value < 1e-9 < memorisation(mixed, train, held_out).p_value
    assert "first three" in found.copied.protocol and "first three" in found.coverage.protocol
    assert "copied" in str(found) and "coverage" in str(found)


def test_ranks_agree_with_scipy_ties_and_all():
    stats = pytest.importorskip("scipy.stats")
    a, b = (4 * normal(40)).round().double(), (4 * normal(50, seed=1)).round().double() - 1
    expected = stats.mannwhitneyu(a, b, alternative="less", method="asymptotic", use_continuity=False).pvalue
    assert 0.5 * math.erfc(-mann_whitney(a, b) / math.sqrt(2)) == pytest.approx(float(expected), rel=1e-9)
    assert mann_whitney(torch.ones(5), torch.ones(6)) == 0


def test_the_tail_probability_is_exact():
    # of 2 of ours and 2 others, all orders equally likely: P(ours first) = 1/2, P(both first) = 1/6
    assert _at_least(1, 2, 2, 1) == pytest.approx(1 / 2) and _at_least(2, 2, 2, 1) == pytest.approx(1 / 6)
    assert _at_least(0, 5, 5, 2) == 1 and _at_least(2, 2, 2, 2) == pytest.approx(1 / 2)


def test_neighbours_are_rows_beside_their_samples():
    train = normal(30, 1, 4, 4)
    found = nearest_rows(train[[4, 9]] + 0.01, train, k=3)
    assert found.index[:, 0].tolist() == [4, 9] and found.grid().shape == (2, 4, 1, 4, 4)
    assert torch.equal(found.rows[1, 0], train[9]) and bool((found.distances.diff(dim=1) >= 0).all())
    assert torch.equal(found.grid()[:, 0], found.samples)


def test_the_most_copied_samples_come_first():
    train = normal(50, 3)
    found = nearest_rows(torch.cat([normal(5, 3, seed=1), train[7:8]]), train, k=2).most_copied(2)
    assert len(found.samples) == 2 and int(found.index[0, 0]) == 7
    assert int(nearest_rows(torch.cat([train[7:8], train[8:9] + 1]), train, k=1).most_copied(1).index[0, 0]) == 7


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="at least 20"):
        memorisation(normal(10, 2), normal(50, 2), normal(50, 2))
    with pytest.raises(ValueError, match="two distinct training rows, got 1"):
        memorisation(normal(30, 2), torch.ones(50, 2), normal(50, 2))
