"""What angles between weights cost, who pays, and that it brings them apart."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.gan.biggan import BigGAN
from fairway.objectives.critic_losses import DIVERGENCES
from fairway.objectives.orthogonal import Orthogonal, off_diagonal


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(4, 9), (5, 2, 3, 3)])
def test_nothing_for_outputs_at_right_angles_however_long(shape):
    weight = torch.nn.init.orthogonal_(torch.empty(shape, dtype=torch.float64))
    lengths = torch.arange(1.0, shape[0] + 1).reshape(-1, *[1] * (len(shape) - 1))
    assert abs(float(off_diagonal(lengths * weight))) < 1e-10


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 2, 3, 3), (64, 2)])
def test_it_is_the_off_diagonal_of_the_products_of_outputs(shape):
    weight = normal(*shape)
    products = weight.flatten(1) @ weight.flatten(1).T
    products.fill_diagonal_(0)
    torch.testing.assert_close(off_diagonal(weight), products.square().sum())


def test_it_brings_outputs_to_right_angles_and_leaves_their_lengths():
    weight = normal(3, 8).requires_grad_()
    lengths, optimiser = weight.detach().norm(dim=1), torch.optim.SGD([weight], lr=5e-3)
    for _ in range(300):
        optimiser.zero_grad()
        off_diagonal(weight).backward()
        optimiser.step()
    assert float(off_diagonal(weight).detach()) < 1e-6
    assert float(weight.detach().norm(dim=1).min()) > 0.5 * float(lengths.min())


def test_the_generator_pays_for_every_weight_and_the_critic_for_none():
    with seeded(0):
        model, objective = (
            BigGAN(Event((8, 8)), Event((), "category", levels=3), latent=4, hidden=(6,)),
            Orthogonal(beta=0.5),
        )
        objective.setup(model)
    batch = Batch(normal(8, 8, 8).float(), torch.eye(3)[torch.arange(8) % 3])
    paid = objective.loss(batch, model, phase=Phase("model"), generator=Rows(0, 8))
    wanted = 0.5 * sum(off_diagonal(p) for p in model.parameters() if p.ndim > 1)
    torch.testing.assert_close(paid.terms["orthogonal"], wanted)
    torch.testing.assert_close(paid.total, paid.terms["generator"] + wanted)
    assert "orthogonal" not in objective.loss(batch, model, phase=Phase("critic"), generator=Rows(0, 8)).terms
    (slope,) = torch.autograd.grad(wanted, model.network.blocks[0].first.weight)
    assert slope.abs().sum() > 0


def test_it_is_the_game_of_the_paper():
    objective = Orthogonal()
    assert (objective.beta, objective.critic_steps, objective.penalty.at) == (1e-4, 2, "none")
    assert objective.divergence is DIVERGENCES["hinge"]
