"""The preset; draws of a model that is still growing; what it refuses."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import seeded
from fairway.models.gan.progan import ProGAN
from fairway.networks.progan import ProGANCritic
from fairway.objectives.progressive import Progressive
from fairway.training.fit import fit

BYTES = Event((3, 16, 16), "integer", low=0, high=255)


def test_preset():
    model = ProGAN(Event((28, 28)))
    objective = model.default_objective()
    assert isinstance(objective, Progressive) and objective.penalty.at == "both" and objective.divergence.both
    assert (model.optimisation.betas, model.optimisation.ema) == ((0.0, 0.99), 0.999)
    assert model.hidden == (128, 64, 32) and model.growth.last == 2 and model.growth.pace == 600
    critic = model.default_critic(None, 0)
    assert isinstance(critic, ProGANCritic) and critic.growth.last == 2


def test_a_model_that_is_still_growing_draws_small_pictures_copied_up():
    with seeded(0):
        model = ProGAN(BYTES, latent=4, hidden=(6, 6, 6)).eval()
    model.growth.begin()
    draws = model.sample(5, generator=0)
    tiles = draws.reshape(5, 3, 4, 4, 4, 4)
    assert draws.shape == (5, 3, 16, 16) and (tiles == tiles[:, :, :, :1, :, :1]).all()
    model.growth.level.fill_(2)
    fine = model.sample(5, generator=0).reshape(5, 3, 4, 4, 4, 4)
    assert (fine != fine[:, :, :, :1, :, :1]).any()


def test_the_level_comes_back_from_a_folder(tmp_path):
    x = torch.rand(40, 8, 8, generator=torch.Generator().manual_seed(0))
    options = {"latent": 4, "hidden": (4, 4), "steps": 3, "batch_size": 8, "validation": 0}
    young = fit("progan", x, grow=10, out=tmp_path, **options)
    assert young.growth.now == ProGAN.load(tmp_path).growth.now == (0, 1.0)
    assert ProGAN.load(tmp_path).growth.pace == 10


def test_it_learns_what_a_class_looks_like_at_every_size():
    """Dark pictures with a bright corner and bright ones with a dark corner, which a small picture shows half."""
    label = torch.arange(200) % 2
    x = 0.2 + 0.5 * label[:, None, None] + 0.1 * torch.rand(200, 8, 8, generator=torch.Generator().manual_seed(0))
    x[:, :2, :2] = 1 - x[:, :2, :2]
    options = {"latent": 4, "hidden": (12, 12), "grow": 40, "lr": 4e-3, "steps": 160, "batch_size": 32}
    model = fit("progan", x, context=label, seed=0, validation=0, **options)
    dark, bright = model.sample(100, context=torch.tensor([0, 1]), generator=0).mean(1)
    assert float(bright[4:, 4:].mean() - dark[4:, 4:].mean()) > 0.3
    assert float(dark[:2, :2].mean() - dark[4:, 4:].mean()) > 0.2
    assert float(bright[4:, 4:].mean() - bright[:2, :2].mean()) > 0.2


def test_tables_and_odd_pictures_are_refused():
    with pytest.raises(ValueError, match="tables need an MLP"):
        ProGAN(Event((5,)))
    with pytest.raises(ValueError, match="got 9 x 10: pad or resize"):
        ProGAN(Event((9, 10)))
