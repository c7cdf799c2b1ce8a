"""Probabilities of events: intervals that cover, bounds where nothing was seen, rare events by weighted draws."""

import math

import pytest
from scipy.stats import binomtest

from fairway.core.event import Event
from fairway.core.sampler import Draws, Sampler
from fairway.metrics.event_probability import event_probability, exact_interval


class Shifted(Sampler):
    """Draws of N(4, 1) weighted towards N(0, 1)."""

    def run(self, model, n, *, context, generator, init=None, trace=False):
        u = 4 + generator.normal(*model.model_event.shape)
        return Draws(u, log_weights=(0.5 * (u - 4).square() - 0.5 * u.square()).sum(1))


@pytest.fixture
def line(normal):
    return normal(Event((1,))).eval()


def beyond(level):
    return lambda x: x[:, 0] > level


def tail(level):
    return 0.5 * math.erfc(level / math.sqrt(2))


@pytest.mark.parametrize(("k", "n"), [(1, 1000), (37, 100), (999, 1000)])
def test_the_interval_is_scipys_exact_one(k, n):
    expected = binomtest(k, n).proportion_ci(0.95, method="exact")
    assert exact_interval(k / n, n) == pytest.approx((expected.low, expected.high), rel=1e-6)


@pytest.mark.parametrize("level", [0.0, 2.5])
def test_the_interval_covers_at_least_as_often_as_it_says(line, level):
    found = [event_probability(line, beyond(level), n=300, generator=seed) for seed in range(300)]
    covered = sum(e.interval[0] <= tail(level) <= e.interval[1] for e in found) / len(found)
    assert covered >= 0.93


def test_no_hit_is_an_upper_bound_and_no_miss_a_lower_one(line):
    none = event_probability(line, beyond(30.0), n=1000, generator=0)
    assert (none.relation, none.interval[0]) == ("upper", 0.0) and none.value == pytest.approx(3 / 1000, rel=0.01)
    assert (1 - none.value) ** 1000 == pytest.approx(0.05)  # larger p would show a hit 19 times of 20
    every = event_probability(line, beyond(-30.0), n=1000, generator=0)
    assert every.relation == "lower" and every.value == pytest.approx(1 - none.value)


def test_weighted_draws_see_an_event_that_plain_ones_do_not(line):
    exact = tail(4.0)  # 3.2e-5
    plain = event_probability(line, beyond(4.0), n=2000, generator=0)
    found = event_probability(line, beyond(4.0), n=2000, sampler=Shifted(), generator=0)
    assert plain.relation == "upper" and plain.value > exact
    assert found.interval[0] < exact < found.interval[1] and abs(found.value - exact) < 4 * found.standard_error
    assert found.standard_error < 0.3 * exact


def test_an_event_is_a_boolean_per_row(line):
    with pytest.raises(ValueError, match=r"expected event to return \(10,\) booleans, got torch.float32"):
        event_probability(line, lambda x: x[:, 0], n=10)
    with pytest.raises(ValueError, match=r"got torch.bool torch.Size\(\[10, 1\]\)"):
        event_probability(line, lambda x: x > 0, n=10)
