"""The reconstruction of the noise: what it costs, whom it moves, and that a generator which loses noise owes for it."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.gan.bigan import BiGAN
from fairway.objectives.veegan import VEEGAN

MODEL = Phase("model")


@pytest.fixture
def model():
    with seeded(0):
        return BiGAN(Event((2,)), latent=2, hidden=(8,))


def ready(model, *arguments, **options):
    objective = VEEGAN(*arguments, critic_hidden=(8,), **options)
    with seeded(1):
        objective.setup(model)
    return objective


def diagonal(*entries):
    layer = torch.nn.Linear(len(entries), len(entries), bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.diag(torch.tensor(entries)))
    return layer


def play(objective, model, n=16):
    return objective.loss(Batch(Rows(1, n).normal(2)), model, phase=MODEL, generator=Rows(0, n))


@pytest.mark.parametrize("context", [None, Event((1,))])
def test_the_generator_owes_the_squared_error_of_its_noise(context):
    with seeded(0):
        model = BiGAN(Event((2,)), context, latent=2, hidden=(8,))
    told, noise = None if context is None else Rows(2, 16).normal(1), Rows(0, 16).normal(2)
    loss = ready(model, 3.0).loss(Batch(Rows(1, 16).normal(2), told), model, phase=MODEL, generator=Rows(0, 16))
    error = model._encode(model._decode(noise, told), told) - noise
    torch.testing.assert_close(loss.terms["reconstruction"], 3 * error.square().sum(1).mean())
    torch.testing.assert_close(loss.total, loss.terms["generator"] + loss.terms["reconstruction"])


def test_rows_count_by_their_weight(model):
    noise = Rows(0, 2).normal(2)
    rows = Batch(Rows(1, 2).normal(2), weight=torch.tensor([3.0, 1.0]))
    loss = ready(model, 1.0).loss(rows, model, phase=MODEL, generator=Rows(0, 2))
    a, b = (model._encode(model._decode(noise)) - noise).square().sum(1)
    torch.testing.assert_close(loss.terms["reconstruction"], (3 * a + b) / 4)


def test_the_encoder_learns_from_the_reconstruction_alone_and_the_generator_from_both(model):
    objective, noise = ready(model, 1.0), Rows(0, 16).normal(2)
    play(objective, model).total.backward()
    fake = model._decode(noise)
    owed = (model._encode(fake) - noise).square().sum(1).mean()
    kl = -objective.critic(fake, noise).mean()
    for part, cost in ((model.encoder, owed), (model.network, owed + kl)):
        wanted = torch.autograd.grad(cost, list(part.parameters()), retain_graph=True)
        for parameter, gradient in zip(part.parameters(), wanted, strict=True):
            torch.testing.assert_close(parameter.grad, gradient)


def test_the_critic_is_the_log_ratio_that_the_generator_minimises(model):
    """Cross-entropy for one, the logit itself for the other: E[-d] is KL(q || p) at the best critic."""
    game, (real, fake) = ready(model).game(), (Rows(seed, 16).normal() for seed in (1, 2))
    torch.testing.assert_close(game.critic(real, fake), -(real.sigmoid().log() + (-fake).sigmoid().log()))
    torch.testing.assert_close(game.generator(fake, real), -fake)


def test_a_generator_that_drops_an_entry_of_its_noise_owes_the_variance_of_that_entry(model):
    """Best linear reconstructions of diag(1, s): 1 / s undoes any s but 0, where the mean is all that can be said."""
    objective = ready(model, 1.0)
    for kept, undo, cost in ((1.0, 1.0, 0.0), (0.1, 10.0, 0.0), (0.0, 0.0, 1.0)):
        model.network, model.encoder = diagonal(1.0, kept), diagonal(1.0, undo)
        owed = play(objective, model, 4_096).terms["reconstruction"]
        assert owed.item() == pytest.approx(cost, abs=0.1 if cost else 1e-6)


@pytest.mark.parametrize("weight", [0, -1.0, float("nan")])
def test_an_encoder_that_nothing_would_move_is_refused(weight):
    with pytest.raises(ValueError, match=r"expected reconstruction above 0, got .*: the encoder learns from it alone"):
        VEEGAN(weight)
