"""Time and point features: shapes, closed form, near times are near."""

import math

import pytest
import torch

from fairway.core.random import seeded
from fairway.networks.embedding import FourierFeatures, TimeFeatures


def test_time_features_are_the_written_waves():
    features = TimeFeatures(4, slowest=0.5, fastest=2.0)(torch.tensor([0.25]))
    angles = [2 * math.pi * f * 0.25 for f in (0.5, 2.0)]
    expected = torch.tensor([[*map(math.cos, angles), *map(math.sin, angles)]])
    torch.testing.assert_close(features, expected)


def test_time_features_tell_all_times_apart():
    features = TimeFeatures(32)(torch.linspace(0, 1, 201))
    distance = torch.cdist(features, features) + 10 * torch.eye(201)
    assert distance.min() > 0.1


def test_fourier_features_keep_the_point_and_scale_frequencies():
    with seeded(0):
        features = FourierFeatures(3, 2000, scale=0.5)
    u = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    out = features(u)
    assert out.shape == (5, features.outputs)
    assert torch.equal(out[:, :3], u)
    assert features.frequencies.std() / (2 * math.pi) == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("build", [lambda: TimeFeatures(3), lambda: FourierFeatures(2, 5)])
def test_odd_numbers_of_features_are_refused(build):
    with pytest.raises(ValueError, match="even number"):
        build()
