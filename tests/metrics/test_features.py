"""The classifier tells real from blurred, and counts the classes it meets."""

import pytest
import torch

from fairway.data import load
from fairway.metrics.features import Classifier, confidence


@pytest.fixture(scope="module")
def digits():
    return load("digits").split(0.2, seed=0)


@pytest.fixture(scope="module")
def classifier(digits):
    return Classifier(digits[0].x, digits[0].labels)


def test_real_digits_are_recognised_and_blurred_ones_are_not(digits, classifier):
    share, present = classifier.sure(digits[1].x)
    wrong = classifier.probabilities(digits[1].x).argmax(1) != digits[1].labels
    assert share > 0.9 and present == 10 and wrong.float().mean() < 0.06
    blurred = digits[1].x.float().mean(0, keepdim=True).expand(50, 8, 8)
    assert classifier.sure(blurred) == (0.0, 0)


def test_noise_reaches_few_classes(classifier):
    noise = torch.rand(200, 8, 8, generator=torch.Generator().manual_seed(0)) * 16
    assert classifier.sure(noise)[1] < 8


def test_a_dropped_mode_is_a_missing_class(digits, classifier):
    assert classifier.sure(digits[1].x[digits[1].labels < 5])[1] < 8


def test_confidence_repeats_and_states_the_real_share():
    x = torch.randn(80, 2, generator=torch.Generator().manual_seed(0)) + 8 * (torch.arange(80) % 2).view(-1, 1)
    one, two = (confidence(x[:1], x[:50], torch.arange(50) % 2, x[50:], seed=4) for _ in range(2))
    assert one == two and (one.present, one.classes, one.n) == (1, 2, 1) and one.real > 0.9


def test_labels_must_fit():
    with pytest.raises(ValueError, match="labels of shape"):
        Classifier(torch.ones(4, 2), torch.ones(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="at least two classes"):
        Classifier(torch.ones(4, 2), torch.zeros(4, dtype=torch.int64))
