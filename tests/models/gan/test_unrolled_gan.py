"""The game of `gan` with a generator that looks five moves ahead."""

import torch

from fairway.models.gan.unrolled_gan import UnrolledGAN
from fairway.objectives.critic_losses import non_saturating_critic, non_saturating_generator
from fairway.objectives.unrolled import Unrolled
from fairway.training.fit import fit


def test_the_game(event):
    model = UnrolledGAN(event)
    objective = model.default_objective()
    objective.setup(model)
    assert (objective.optimisation_of("model").lr, objective.optimisation_of("critic").lr) == (1e-3, 1e-4)
    assert isinstance(objective, Unrolled) and objective.unroll == 5
    assert objective.divergence.critic is non_saturating_critic
    assert objective.divergence.generator is non_saturating_generator
    assert [(p.player, p.times) for p in objective.phases(None)] == [("critic", 1), ("model", 1)]
    assert objective.penalty.at == "none"


def test_it_finds_where_the_data_lie():
    x = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([30.0, 0.1]) + 500
    model = fit("unrolled_gan", x, unroll=2, hidden=(32,), critic_hidden=(32,), steps=300, lr=4e-3, seed=0)
    off = (model.sample(1000, generator=0).mean(0) - x.mean(0)).abs() / x.std(0)
    assert (off < 0.5).all()
