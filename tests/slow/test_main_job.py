"""The main job's goals with steps in place of seconds, so that they hold on any machine."""

import pytest
import torch

import fairway as fw
from fairway.metrics.features import Classifier

pytestmark = pytest.mark.slow
STEPS = {
    "gmm": None,
    "made": 900,
    "vae": 1_500,
    "real_nvp": 1_500,
    "wgan_gp": 1_000,
    "ebm": 1_100,
    "flow_matching": 3_000,
}
GOALS = {"made": 2.30, "vae": 2.25, "real_nvp": 2.15}  # bits per dimension, held out
CONFIDENT = 0.8  # of the share of real digits that a classifier is sure of


@pytest.fixture(scope="module")
def digits():
    return fw.data.load("digits").split(0.2, 0)


@pytest.fixture(scope="module")
def classifier(digits):
    return Classifier(digits[0].x, digits[0].labels, seed=0)


@pytest.mark.parametrize("name", STEPS)
def test_a_model_learns_digits(name, digits, classifier):
    train, held_out = digits
    torch.set_num_threads(1)
    model = fw.fit(name, train, steps=STEPS[name], seed=0)
    if name in GOALS:
        assert fw.evaluate(model, held_out, samples=4).bits_per_dim <= GOALS[name]
    share, present = classifier.sure(model.sample(1_000, generator=1))
    real, _ = classifier.sure(held_out.x)
    assert share >= CONFIDENT * real
    assert present == 10
