"""A conditional model whose right answer is known: x ~ N(0, 1), c = x + N(0, 1), so x | c ~ N(c / 2, 1 / 2)."""

import pytest
import torch

from fairway.core.capability import HasLogProb, HasSample
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.numerics import event_sum, normal_log_prob


class Posterior(HasSample, HasLogProb, Model):
    """N(slope c + bias, scale^2), entry by entry."""

    accepts_context = ("real",)

    def __init__(self, event, context_event, *, slope=0.5, bias=0.0, scale=0.5**0.5):
        super().__init__(event, context_event)
        self.slope, self.bias, self.scale = slope, bias, scale

    def _sample(self, n, context, rows):
        return self.slope * context + self.bias + self.scale * rows.normal(*self.model_event.shape)

    def _log_prob(self, u, context=None):
        mean = self.slope * context + self.bias
        return event_sum(normal_log_prob(u, mean, torch.tensor(self.scale).log()))


@pytest.fixture
def posterior():
    return lambda **how: Posterior(Event((2,)), Event((2,)), **how).eval()


@pytest.fixture
def pairs():
    """(x, c) of the joint law, n of them."""

    def draw(n, seed=0):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(n, 2, generator=generator)
        return x, x + torch.randn(n, 2, generator=generator)

    return draw
