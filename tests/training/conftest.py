"""A small, fast model and data for runs of a few dozen steps."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import seeded
from fairway.models.flow.real_nvp import RealNVP
from fairway.training.batches import Table


def points(n=200, seed=0):
    """(n, 2) float32, two clumps at odd scales."""
    generator = torch.Generator().manual_seed(seed)
    side = torch.randint(0, 2, (n, 1), generator=generator) * 2.0 - 1
    return torch.tensor([40.0, 3e-3]) * (side + 0.3 * torch.randn(n, 2, generator=generator)) + torch.tensor([1e3, 0])


SMALL = {"transforms": 2, "hidden": (8,), "batch_size": 32}


@pytest.fixture
def x():
    return points()


@pytest.fixture
def small():
    """Options of `fit` that make real_nvp tiny."""
    return dict(SMALL)


@pytest.fixture
def flow(x):
    """A tiny flow with fitted units, not trained."""
    with seeded(0):
        model = RealNVP(Event((2,)), transforms=2, hidden=(8,))
    model.preprocess.fit(x)
    return model


@pytest.fixture
def table(x):
    return Table(x)
