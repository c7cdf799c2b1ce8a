"""The paper's property after a short fit, and that the critic of pictures sees both halves of a pair."""

import torch

from fairway.core.event import Event
from fairway.core.random import Rows, seeded
from fairway.models.gan.bigan import BiGAN
from fairway.networks.conv_encoder import JointCritic
from fairway.objectives.bidirectional import Bidirectional
from fairway.training.fit import fit


def test_what_is_encoded_decodes_to_itself_and_codes_have_the_law_of_the_noise():
    """A Gaussian at an awkward scale. Nothing in the loss compares decode(encode(x)) with x.

    In units of the data's variance: rows paired at random are 2 apart, there and back here within 0.2.
    """
    x = Rows(0, 2_000).normal(2) @ torch.tensor([[20.0, 0.1], [0.0, 0.05]]) + torch.tensor([500.0, -3.0])
    with seeded(0):
        model = BiGAN(Event((2,)), latent=2, hidden=(32,))
    objective = Bidirectional("non_saturating", "r1_r2", weight=0.3, critic_steps=1, critic_hidden=(32,))
    model = fit(model, x, objective=objective, steps=400, lr=1e-2, seed=0, progress=False, compile="off")
    codes = model.encode(x)
    error = ((model.decode(codes) - x) / x.std(0)).square().mean()
    apart = ((x.roll(1, 0) - x) / x.std(0)).square().mean()
    assert error < 0.15 * apart and 1.8 < apart < 2.2
    torch.testing.assert_close(codes.mean(0), torch.zeros(2), atol=0.4, rtol=0)
    torch.testing.assert_close(torch.cov(codes.T), torch.eye(2), atol=0.5, rtol=0)


def pictures(context_event=None, latent=3):
    with seeded(0):
        return BiGAN(Event((8, 12), "integer", low=0, high=255), context_event, latent=latent, hidden=(8,)).eval()


def test_pictures_of_bytes_are_encoded_whatever_their_type_and_each_by_itself():
    model, x = pictures(), Rows(0, 6).integers(256, 8, 12).to(torch.uint8)
    z = model.encode(x)
    assert z.shape == (6, 3) and z.dtype == torch.float32 and torch.isfinite(z).all() and (z.std(0) > 0).all()
    for same in (x.float(), x.long(), x.numpy()):
        torch.testing.assert_close(model.encode(same), z)
    torch.testing.assert_close(model.encode(x[2:3]), z[2:3])
    again = model.decode(z)
    assert again.shape == x.shape and again.dtype == torch.uint8


def test_the_context_reaches_encoder_and_generator_of_pictures():
    model = pictures(Event((), "category", levels=3))
    x, z = torch.full((4, 8, 12), 100, dtype=torch.uint8), torch.zeros(4, 3)
    labels = torch.tensor([0, 0, 1, 2])
    for answer in (model.encode(x, labels), model._decode(z, torch.eye(3)[labels])):
        torch.testing.assert_close(answer[0], answer[1])
        assert (answer[1] - answer[2]).abs().max() > 1e-3 and (answer[2] - answer[3]).abs().max() > 1e-3


def test_the_critic_of_pictures_sees_the_picture_and_the_latent():
    model = pictures()
    objective = model.default_objective()
    with seeded(1):
        objective.setup(model)
    assert isinstance(objective, Bidirectional) and isinstance(objective.critic, JointCritic)
    u, z = Rows(0, 4).uniform(8, 12).requires_grad_(), Rows(1, 4).normal(3).requires_grad_()
    for slope in torch.autograd.grad(objective.critic(u, z).sum(), (u, z)):
        assert (slope.flatten(1).abs().sum(1) > 0).all()


def test_sizes_and_what_it_answers():
    model = BiGAN(Event((5,)), hidden=(8, 16), latent=3)
    sizes = [tuple(p.shape) for p in model.encoder.parameters() if p.ndim == 2]
    assert sizes == [(16, 5), (8, 16), (3, 8)]
    assert model.latent_event == Event((3,)) and BiGAN(Event((5,))).latent == 5 and pictures(latent=None).latent == 16
    assert model.capabilities == {"sample", "decode", "encode"}
