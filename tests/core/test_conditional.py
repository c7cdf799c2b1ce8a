"""The conditional of a Gaussian is in every textbook (Bishop 2006, eq. 2.81 and 2.82)."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.numerics import normal_log_prob
from fairway.models.classical.gaussian import Gaussian

MEAN, COVARIANCE = torch.tensor([1.0, -2.0]), torch.tensor([[2.0, 0.9], [0.9, 1.0]])


@pytest.fixture
def law():
    model = Gaussian(Event((2,))).double().eval()
    model.set_components(torch.ones(1).double(), MEAN[None].double(), COVARIANCE[None].double())
    return model.conditional(torch.tensor([3.0, 0.0], dtype=torch.float64), observed=[True, False])


def test_its_density_is_the_textbook_normal(law):
    mean, variance = -2 + 0.9 / 2 * (3 - 1), 1 - 0.9**2 / 2
    x = torch.tensor([[0.0, -1.7], [0.0, 0.4]], dtype=torch.float64)  # the first entry is replaced by the observed 3
    expected = normal_log_prob(x[:, 1], mean, torch.tensor(variance, dtype=torch.float64).log() / 2)
    assert torch.allclose(law.log_prob(x), expected, atol=1e-10)


def test_its_samples_keep_what_was_observed(law):
    samples = law.sample(4_000, generator=0)
    assert samples.shape == (4_000, 2) and bool((samples[:, 0] == 3).all())
    assert abs(float(samples[:, 1].mean()) + 1.1) < 0.05
    assert abs(float(samples[:, 1].var()) - 0.595) < 0.05
