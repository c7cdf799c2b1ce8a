"""The bound that is played."""

import pytest
import torch

from fairway.models.gan.f_gan import FGAN
from fairway.objectives.f_gan import F_GANS
from fairway.training.fit import fit


def test_the_default_is_the_jensen_shannon_divergence(event):
    objective = FGAN(event).default_objective()
    logits = torch.linspace(-2, 2, 5)
    wanted = F_GANS["jensen_shannon"].critic(logits, logits)
    torch.testing.assert_close(objective.divergence.critic(logits, logits), wanted)


@pytest.mark.parametrize("divergence", ["kl", "reverse_kl", "pearson", "squared_hellinger", "jensen_shannon", "gan"])
def test_each_finds_a_shift(divergence):
    x = 100 + 3 * torch.randn(600, 2, generator=torch.Generator().manual_seed(0))
    model = fit("f_gan", x, divergence=divergence, hidden=(16,), critic_hidden=(16,), steps=200, lr=2e-3, seed=0)
    assert ((model.sample(500, generator=0).mean(0) - 100).abs() < 2).all()
