"""A denoiser of labelled data in closed form: class k is component k, and without a label it is the mixture."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.preprocessing import context_default
from fairway.models.diffusion.mixture import MixtureDenoiser


class Labelled(MixtureDenoiser):
    """What a perfect network trained with dropped labels would answer."""

    accepts_context = ("category",)
    context_dropout = 0.1

    def __init__(self, weights, means, covariances, **options):
        super().__init__(weights, means, covariances, **options)
        self.context_event = Event((), "category", levels=len(weights))
        self.context_preprocess = context_default(self.context_event)

    def _network(self, u, t, context):
        self.calls = getattr(self, "calls", 0) + 1
        if context is None:
            return super()._network(u, t, None)
        (alpha, sigma), turned, variance = self._turned(u, t)
        pulled, label = turned / variance, context.unsqueeze(2)
        data = self.means + self._back(alpha * self.variances * pulled)
        p, q = (c.unsqueeze(1) for c in self._prediction(t))
        return p * (label * data).sum(1) + q * (label * self._back(sigma * pulled)).sum(1)

    def posterior(self, u, t):
        """Logits (B, K) of the label given u_t, exact."""
        _, turned, variance = self._turned(u, t)
        return self._log_joint_of(turned, variance)


@pytest.fixture
def three_classes():
    """Builds such a denoiser under a schedule."""

    def make(schedule="vp"):
        means = torch.tensor([[-1.2, 0.0], [1.2, 0.3], [0.0, -1.0]], dtype=torch.float64)
        covariances = torch.tensor(
            [[[0.3, 0.1], [0.1, 0.2]], [[0.2, 0.0], [0.0, 0.4]], [[0.3, -0.1], [-0.1, 0.3]]], dtype=torch.float64
        )
        weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
        return Labelled(weights, means, covariances, schedule=schedule, prediction="velocity").double()

    return make


@pytest.fixture
def label_rows():
    """n unit vectors of a label."""
    return lambda label, n: torch.nn.functional.one_hot(torch.full((n,), label), 3).double()
