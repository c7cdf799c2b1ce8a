"""Three tiny models whose answers are known in closed form."""

import pytest
import torch

from fairway.core.capability import HasBound, HasLogProb, HasSample
from fairway.core.model import Model
from fairway.core.numerics import standard_normal_log_prob


class Normal(HasSample, HasLogProb, Model):
    """N(0, I) in model units."""

    def _sample(self, n, context, rows):
        return rows.normal(*self.model_event.shape)

    def _log_prob(self, u, context=None):
        return standard_normal_log_prob(u)


class Loose(HasSample, HasBound, Model):
    """N(0, I) with a bound that is |z| below, z standard normal noise."""

    def _sample(self, n, context, rows):
        return rows.normal(*self.model_event.shape)

    def _bound_terms(self, u, context, rows):
        return {"density": -standard_normal_log_prob(u), "slack": rows.normal().abs()}


class Silent(HasSample, Model):
    """Samples only."""

    def _sample(self, n, context, rows):
        return rows.normal(*self.model_event.shape)


@pytest.fixture
def normal():
    return Normal


@pytest.fixture
def loose():
    return Loose


@pytest.fixture
def silent():
    return Silent


@pytest.fixture
def rows():
    return torch.randn(200, 3, generator=torch.Generator().manual_seed(1))
