"""The modern default: its game, and that it keeps what a plain game loses."""

import torch

from fairway.core.event import Event
from fairway.data.toy import ring, ring_centres
from fairway.metrics.modes import mode_metrics
from fairway.models.gan.r3gan import GAMMA, GAMMA_OF_IMAGES, R3GAN, ROWS, STEPS
from fairway.objectives.adversarial import Adversarial
from fairway.training.fit import fit


def test_the_game(event):
    objective = R3GAN(event).default_objective()
    real, fake = torch.tensor([1.0]), torch.tensor([-1.0])
    torch.testing.assert_close(objective.divergence.critic(real, fake), torch.tensor([2.0]).neg().exp().log1p())
    assert (objective.penalty.at, objective.ends, objective.critic_steps) == ("both", GAMMA, 1)
    assert R3GAN(Event((8, 8), "binary")).default_objective().weight == GAMMA_OF_IMAGES


def test_both_players_move_alike(event):
    model = R3GAN(event)
    objective = model.default_objective()
    objective.setup(model)
    assert objective.optimisation_of("critic") == model.optimisation


def test_it_keeps_the_ring_at_any_scale_and_rotation():
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]])
    scale = torch.tensor([1000.0, 1e-3])
    x = (ring(4000).x @ turn.T) * scale + 7
    model = fit("r3gan", x, steps=1500, seed=0)
    found = (model.sample(1000, generator=0) - 7) / scale
    metrics = mode_metrics(found.double(), ring_centres().double() @ turn.T.double(), 0.02)
    assert metrics["captured"].value == 8 and metrics["kl"].value < 0.3


def test_steps_are_its_own_unless_asked_otherwise(monkeypatch):
    monkeypatch.setattr(R3GAN, "steps", 7)
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    assert fit("r3gan", x, hidden=(4,), seed=0).history.steps == 7
    assert fit("r3gan", x, hidden=(4,), steps=3, seed=0).history.steps == 3


def test_images_take_the_usual_number_of_steps_and_rows(event):
    table, images = R3GAN(event), R3GAN(Event((8, 8), "binary"))
    assert (table.steps, images.steps) == (STEPS, None)
    rows = [model.default_objective().batch_size_of(model) for model in (table, images)]
    assert rows == [ROWS, Adversarial.batch_size]
