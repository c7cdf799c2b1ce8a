"""Weights in a box, and how much the box decides."""

import pytest
import torch

from fairway.models.gan.wgan import WGAN
from fairway.training.fit import fit, loop


def test_the_paper(event):
    objective = WGAN(event).default_objective()
    assert (objective.weight, objective.critic_steps, objective.penalty.at) == (0.01, 5, "weights")


def test_every_weight_of_the_critic_stays_in_its_box():
    x = 5 + torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    for run in loop("wgan", x, hidden=(8,), critic_hidden=(8,), steps=3, seed=0):
        weights = torch.cat([p.detach().flatten() for p in run.objective.critic.parameters()])
        assert weights.abs().max() <= 0.01
    assert weights.abs().max() == pytest.approx(0.01)


def gap(clip):
    """What a critic under this clip reads between data and the generator, which hardly moves."""
    x = 5 + torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    model = fit(
        "wgan", x, preprocess=False, weight=clip, hidden=(8,), critic_hidden=(16, 16), steps=60, lr=1e-4, seed=0
    )
    return model.history.curve("gap")[1][-1]


def test_the_gap_depends_on_the_clip_more_than_on_the_distance():
    """Three layers: ten times the box is up to a thousand times the slope."""
    assert gap(0.1) > 20 * gap(0.02) > 0
