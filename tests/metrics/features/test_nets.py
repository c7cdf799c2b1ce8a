"""Networks fit the rows that they are built for; MNIST is read well in well under a minute."""

import pytest
import torch

from fairway.data import load
from fairway.metrics.features import trained_on
from fairway.metrics.features.nets import CONVOLUTIONAL, PERCEPTRON, recipe_for


@pytest.mark.parametrize(
    "shape", [(16, 16), (1, 28, 28), (3, 32, 32), (3, 64, 64), (2, 17, 40), (8, 8), (5,), (1, 8, 8)]
)
def test_each_shape_has_a_network_whose_last_hidden_layer_is_128_wide(shape):
    network = recipe_for(shape).build(shape, 7)
    assert network[:-1](torch.zeros(2, *shape)).shape == (2, 128) and network(torch.zeros(2, *shape)).shape == (2, 7)


def test_only_images_of_some_size_are_images():
    assert recipe_for((16, 16)) is CONVOLUTIONAL and recipe_for((3, 16, 20)) is CONVOLUTIONAL
    assert all(recipe_for(shape) is PERCEPTRON for shape in [(15, 28), (784,), (2, 3, 28, 28), ()])


def test_training_images_move_by_at_most_two_pixels_together():
    u = torch.zeros(3, 9, 9)
    u[:, 4, 4] = 1
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(200):
        moved = CONVOLUTIONAL._move(u, generator)
        at = moved.nonzero()
        assert len(at) == 3 and len({(int(i), int(j)) for _, i, j in at}) == 1
        seen.add((int(at[0, 1]), int(at[0, 2])))
    assert len(seen) == 25 and max(abs(i - 4) for pair in seen for i in pair) == 2
    assert PERCEPTRON._move(u, generator) is u


@pytest.mark.slow
def test_ten_thousand_mnist_rows_teach_98_percent():
    try:
        mnist = load("mnist")
    except FileNotFoundError as error:
        pytest.skip(f"needs MNIST under FAIRWAY_DATA: {error}")
    test = mnist.split()[1]
    classifier = trained_on(mnist.x[:10_000], mnist.labels[:10_000])
    assert (classifier.probabilities(test.x).argmax(1) == test.labels).float().mean() >= 0.98
