"""Budgets in words, and what they buy."""

import numpy as np
import pytest

from fairway.training.plan import DEFAULT_STEPS, MARGIN, Plan, integer, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("2m", 120), ("1.5 min", 90), ("1h", 3600), (".5", 0.5), (7, 7), (0.25, 0.25), (1e-5, 1e-5)],
)
def test_durations(text, seconds):
    assert seconds_of(text) == pytest.approx(seconds)


def test_no_budget():
    assert seconds_of(None) is None


@pytest.mark.parametrize("text", ["", "s", "0", "-3s", "3 days", "1.2.3", ".", "inf", "nan", True, "30s;ls"])
def test_other_durations_are_refused(text):
    with pytest.raises(ValueError, match="expected a budget such as 30s"):
        seconds_of(text)


def test_integers_of_any_type():
    assert integer("n", np.int64(3), least=1) == 3
    for wrong in (0, 2.0, True, "3", None):
        with pytest.raises(ValueError, match="expected n as an integer of at least 1"):
            integer("n", wrong, least=1)


def test_steps_without_a_budget_default():
    assert Plan(None, None, 8, 0).steps == DEFAULT_STEPS
    assert Plan(None, 3.0, 8, 0).steps is None


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"steps": 2.5}, {"batch_size": 0}, {"batch_size": -1}])
def test_counts_are_positive(wrong):
    with pytest.raises(ValueError, match=f"expected {next(iter(wrong))} as an integer of at least 1"):
        Plan(**{"steps": 10, "budget": None, "batch_size": 8, "seed": 0, **wrong})


@pytest.mark.parametrize(("steps", "every"), [(10, 25), (1_000, 25), (5_000, 125), (100_000, 500)])
def test_evaluations_are_frequent_but_not_too_frequent(steps, every):
    assert Plan(steps, None, 8, 0).evaluate_every == every
    assert Plan(steps, None, 8, 0, evaluate_every=3).evaluate_every == 3


def test_a_budget_buys_steps_and_gives_evaluations_a_tenth():
    plan = Plan(None, 100.0, 8, 0)
    plan.buy(spent=5.0, step_seconds=0.1, evaluation_seconds=0.5)
    left = 100 * MARGIN - 5
    evaluations = int(0.1 * left / 0.5)
    assert plan.steps == int((left - evaluations * 0.5) / 0.1)
    assert plan.evaluate_every == plan.steps // evaluations
    planned = 5 + plan.steps * 0.1 + evaluations * 0.5
    assert planned <= 100 * MARGIN


def test_a_given_interval_of_evaluations_stays():
    plan = Plan(None, 100.0, 8, 0, evaluate_every=10)
    plan.buy(spent=0.0, step_seconds=0.1, evaluation_seconds=1.0)
    assert plan.evaluate_every == 10
    assert plan.steps == int(95 / (0.1 + 0.1))


def test_a_budget_that_is_spent_still_ends():
    plan = Plan(None, 1.0, 8, 0)
    plan.buy(spent=9.0, step_seconds=0.5, evaluation_seconds=3.0)
    assert plan.steps == 1
    assert plan.evaluate_every >= 1


def test_a_plan_survives_json():
    plan = Plan(None, 9.0, 8, 1, lr=0.1, stage=2)
    plan.buy(1.0, 0.01, 0.02)
    assert Plan(**plan.to_dict()) == plan
