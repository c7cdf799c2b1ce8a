"""What the network sees, and your own in its place."""

import torch

from fairway.core.event import Event
from fairway.models.diffusion.edm import EDM


class Ones(torch.nn.Module):
    def forward(self, u, t, context=None):
        self.seen = u
        return torch.ones_like(u)


def test_your_own_network_sees_scale_one_and_speaks_for_the_model():
    network = Ones()
    model = EDM(Event((2,)), network=network).double()
    u, t = torch.full((3, 2), 80.0, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    found = model.denoise(u, 1.0)
    torch.testing.assert_close(network.seen, u / 6401**0.5)
    sigma = model.schedule(t)[1].unsqueeze(1)
    torch.testing.assert_close(found, u / (1 + sigma**2) + sigma / (1 + sigma**2).sqrt())


def test_a_context_joins_the_default_network():
    model = EDM(Event((2,)), Event((), "category", levels=3), hidden=(8,))
    assert model.network.conditions.context.in_features == 3
