"""Time features: shapes, closed form, near times are near."""

import math

import pytest
import torch

from fairway.networks.embedding import TimeFeatures


def test_time_features_are_the_written_waves():
    features = TimeFeatures(4, slowest=0.5, fastest=2.0)(torch.tensor([0.25]))
    angles = [2 * math.pi * f * 0.25 for f in (0.5, 2.0)]
    expected = torch.tensor([[*map(math.cos, angles), *map(math.sin, angles)]])
    torch.testing.assert_close(features, expected)


def test_time_features_tell_all_times_apart():
    features = TimeFeatures(32)(torch.linspace(0, 1, 201))
    distance = torch.cdist(features, features) + 10 * torch.eye(201)
    assert distance.min() > 0.1


def test_odd_numbers_of_features_are_refused():
    with pytest.raises(ValueError, match="even number"):
        TimeFeatures(3)
