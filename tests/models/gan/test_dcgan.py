"""The paper's recipe, and what it cannot make."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows
from fairway.models.gan.dcgan import DCGAN
from fairway.training.fit import fit

GREY = {"kind": "integer", "low": 0, "high": 255}


def test_the_recipe():
    model = DCGAN(Event((28, 28), **GREY), latent=8, hidden=(8, 8))
    objective = model.default_objective()
    objective.setup(model)
    moves = objective.optimisation_of("critic")
    assert (moves.lr, moves.betas) == (2e-4, (0.5, 0.999)) == (model.optimisation.lr, model.optimisation.betas)
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in model.modules())
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in objective.critic.modules())


def test_real_and_fake_rows_pass_a_critic_with_batch_norm_apart():
    model = DCGAN(Event((16, 16), **GREY), latent=8, hidden=(8, 8))
    objective = model.default_objective()
    objective.setup(model)
    passes = []
    objective.critic.register_forward_hook(lambda module, inputs, output: passes.append(len(inputs[0])))
    objective.loss(Batch(torch.zeros(6, 16, 16)), model, phase=Phase("critic"), generator=Rows(0, 6))
    assert passes == [6, 6]


def test_draws_do_not_depend_on_their_batch_after_training():
    x = torch.randint(0, 256, (64, 8, 8), generator=torch.Generator().manual_seed(0)).byte()
    model = fit("dcgan", x, latent=4, hidden=(8,), steps=5, seed=0)
    assert torch.equal(model.sample(10, generator=1), model.sample(10, generator=1, batch_size=3))


@pytest.mark.parametrize("shape", [(2,), (7, 7), (30, 29)])
def test_what_it_cannot_make(shape):
    with pytest.raises(ValueError, match="pad or resize them, or take r3gan for tables"):
        DCGAN(Event(shape, **GREY))
