"""All numbers at once are the numbers one by one, beside what fresh data read."""

import time

import pytest
import torch

from fairway.metrics.features import (
    Classifier,
    feature_metrics,
    frechet,
    inception_score,
    kernel_distance,
    precision_recall,
)

NAMES = {"frechet", "kernel_distance", "precision", "recall", "density", "coverage"}


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_they_are_the_numbers_one_by_one():
    a, b = normal(200, 3), normal(150, 3, seed=1) + 0.5
    found = feature_metrics(a, b, split="test")
    assert set(found) == NAMES and all(value.floor is None for value in found.values())
    assert found["frechet"] == frechet(a, b, split="test")
    assert found["kernel_distance"] == kernel_distance(a, b, split="test")
    assert found["recall"] == precision_recall(a, b, split="test")["recall"]


def test_fresh_rows_give_the_floor_and_a_good_model_is_at_it():
    a, b, fresh = normal(300, 4, seed=3), normal(300, 4, seed=4), normal(400, 4, seed=5)
    found = feature_metrics(a, b, fresh=fresh, deals=30)
    assert all(abs(value.value - value.floor) < 4 * value.floor_sd for value in found.values())
    worse = feature_metrics(a + 0.5, b, fresh=fresh, deals=30)
    assert worse["frechet"].value > worse["frechet"].floor + 10 * worse["frechet"].floor_sd
    assert not worse["frechet"].tied(found["frechet"]) and worse["frechet"].floor == found["frechet"].floor
    with pytest.raises(ValueError, match="at least 300 fresh rows"):
        feature_metrics(a, b, fresh=fresh[:200])


def test_a_classifier_adds_its_score_and_its_name():
    labels = torch.arange(720) % 3
    x = normal(720, 2) + 6 * torch.stack([(labels == 1).float(), (labels == 2).float()], 1)
    classifier = Classifier(x[:120], labels[:120])
    found = feature_metrics(x[120:320], x[320:520], classifier, fresh=x[520:], deals=2)
    assert found["score"].value == inception_score(classifier.probabilities(x[120:320])).value > 2.5
    assert found["score"].floor == pytest.approx(found["score"].value, rel=0.1)
    assert classifier.name in found["frechet"].protocol and classifier.name in found["score"].protocol


def test_point_values_at_two_thousand_rows_take_a_second_or_two():
    a, b = normal(2000, 64), normal(2000, 64, seed=1)
    start = time.process_time()
    feature_metrics(a, b)
    assert time.process_time() - start < 3
