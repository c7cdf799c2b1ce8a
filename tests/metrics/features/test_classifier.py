"""The classifier tells real from blurred, and counts the classes it meets."""

from dataclasses import replace

import pytest
import torch

from fairway.data import load
from fairway.metrics.features import Classifier, confidence, trained_on
from fairway.metrics.features.nets import recipe_for
from fairway.metrics.features.store import write_folder


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


def test_called_on_rows_it_returns_its_last_hidden_layer(digits, classifier):
    features = classifier(digits[1].x)
    assert features.shape == (len(digits[1]), 128) and bool((features >= 0).all())
    logits = classifier.network[-1](features).detach()
    torch.testing.assert_close(logits.softmax(-1), classifier.probabilities(digits[1].x))
    with pytest.raises(ValueError, match=r"expected rows \(n, 8, 8\)"):
        classifier(torch.ones(3, 64))


def test_a_stored_classifier_gives_the_same_features_under_the_same_name(digits, classifier, tmp_path):
    classifier.save(tmp_path / "kept")
    loaded = Classifier.load(tmp_path / "kept")
    assert torch.equal(loaded(digits[1].x), classifier(digits[1].x)) and loaded.name == classifier.name
    assert "8x8" in loaded.name and str(len(digits[0])) in loaded.name
    other = Classifier(digits[0].x, digits[0].labels, seed=1)
    assert other.name.split(",")[0] != classifier.name.split(",")[0]  # other weights, another name


def test_a_folder_of_something_else_is_refused(classifier, tmp_path):
    write_folder(tmp_path / "other", {"recipe": "mlp"}, {"mean": torch.ones(2)})
    with pytest.raises(ValueError, match="stored classifier"):
        Classifier.load(tmp_path / "other")


def test_the_shape_of_the_rows_chooses_the_network(digits, classifier):
    assert trained_on(digits[0].x, digits[0].labels).name == classifier.name  # 8 x 8: the perceptron


def test_images_get_convolutions_that_learn_where_a_shape_sits_does_not_matter():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(240) % 2
    x = 0.3 * torch.randn(240, 16, 16, generator=generator)
    for row, label in enumerate(labels.tolist()):  # a bar, upright or lying, anywhere
        at = int(torch.randint(3, 13, (), generator=generator))
        x[row].select(1 - label, at).add_(1)
    found = Classifier(x[:160], labels[:160], recipe=replace(recipe_for((16, 16)), steps=120))
    assert found.recipe.name == "conv" and found(x[:5]).shape == (5, 128)
    assert (found.probabilities(x[160:]).argmax(1) == labels[160:]).float().mean() > 0.95
