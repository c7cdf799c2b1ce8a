"""What the critic is shown, whose loss is whose, slopes over pairs, and that an encoder comes to invert a generator."""

import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.gan.bigan import BiGAN
from fairway.models.gan.generator import Generator
from fairway.objectives.adversarial import Shown
from fairway.objectives.bidirectional import ENCODERS, Bidirectional, two_sided
from fairway.objectives.critic_losses import DIVERGENCES
from fairway.objectives.f_gan import F_GANS

CRITIC, MODEL = Phase("critic"), Phase("model")
OF_PAIRS = torch.tensor([[0.3, -0.5, 2.0, 1.0, 5.0]])  # of u (2,), z (2,) and a context


class Linear(torch.nn.Module):
    """d(u, c) = w . [u, c], whose slopes are known; it remembers what it was shown."""

    def __init__(self, w=OF_PAIRS):
        super().__init__()
        self.w, self.shown = torch.nn.Parameter(w.clone()), []

    def forward(self, u, context=None):
        self.shown.append((u, context))
        entries = torch.cat([u.flatten(1), context], 1)
        return (entries * self.w[:, : entries.shape[1]]).sum(1)


class Product(torch.nn.Module):
    """d(u, z) = u z, whose slope at (u, z) is (z, u)."""

    def forward(self, u, context=None):
        return (u * context).sum(1)


def build(dims=2, context=None, hidden=(8,)):
    with seeded(0):
        return BiGAN(Event((dims,)), context, latent=dims, hidden=hidden)


def ready(model, *arguments, **options):
    objective = Bidirectional(*arguments, **{"critic_hidden": (8,), "critic_steps": 1, **options})
    with seeded(1):
        objective.setup(model)
    return objective


def batch(n=16, dims=2, context=False):
    return Batch(Rows(1, n).normal(dims), Rows(2, n).normal(1) if context else None)


# -- what is shown --------------------------------------------------------------------------------------------------
def test_the_critic_is_shown_pairs_with_their_context():
    model, rows = build(context=Event((1,))), batch(context=True)
    objective = ready(model, "wasserstein", "none", critic=Linear())
    objective.loss(rows, model, phase=CRITIC, generator=Rows(3, 16))
    (u, told), noise = objective.critic.shown[0], Rows(3, 16).normal(2)
    torch.testing.assert_close(u, torch.cat([rows.u, model._decode(noise, rows.context)]))
    torch.testing.assert_close(told[:16], torch.cat([model._encode(rows.u, rows.context), rows.context], 1))
    torch.testing.assert_close(told[16:], torch.cat([noise, rows.context], 1))


def test_the_default_critic_has_room_for_the_latent_and_the_context():
    conditional = build(context=Event((1,)))
    assert ready(conditional).context_dims(conditional) == 3
    assert ready(conditional).critic.network.layers[0].linear.in_features == 5


def test_a_model_without_an_encoder_is_refused():
    with pytest.raises(CapabilityError, match="bidirectional needs a model that answers 'encode'"):
        Bidirectional().check(Generator(Event((2,))))


# -- whose loss -----------------------------------------------------------------------------------------------------
def test_every_divergence_has_an_encoders_loss():
    assert set(ENCODERS) == set(DIVERGENCES)


@pytest.mark.parametrize("name", list(DIVERGENCES))
def test_generator_raises_its_logit_and_encoder_lowers_its_own(name):
    fake, real = (Rows(seed, 64).normal().requires_grad_() for seed in (1, 2))
    game = two_sided(name)
    assert game.both and game.critic == DIVERGENCES[name].critic
    on_fake, on_real = torch.autograd.grad(game.generator(fake, real).sum(), (fake, real))
    if name == "least_squares":  # towards 1 and 0, from either side
        assert torch.equal(on_real, real) and torch.equal(on_fake, fake - 1)
    else:
        assert (on_fake <= 0).all() and (on_fake < 0).float().mean() > 0.5
        assert (on_real > 0).all()


@pytest.fixture
def logits():
    return Rows(1, 64).normal(), Rows(2, 64).normal()


@pytest.mark.parametrize("name", ["wasserstein", "minimax", *F_GANS])
def test_games_of_one_value_are_zero_sum(name, logits):
    fake, real = logits
    game = two_sided(name)
    torch.testing.assert_close(game.generator(fake, real), -game.critic(real, fake))


@pytest.mark.parametrize("name", ["non_saturating", "least_squares", "relativistic"])
def test_the_others_exchange_labels(name, logits):
    """What the critic would pay if fakes were real and real rows fake."""
    fake, real = logits
    game = two_sided(name)
    torch.testing.assert_close(game.generator(fake, real), game.critic(fake, real))


def test_generator_and_encoder_move_together_and_the_critic_alone():
    model = build(context=Event((1,)))
    objective = ready(model, "non_saturating", "r1_r2", weight=0.1)
    rows = batch(context=True)
    objective.loss(rows, model, phase=CRITIC, generator=Rows(0, 16)).total.backward()
    assert all(p.grad is None for p in model.parameters())
    assert all(p.grad is not None for p in objective.critic.network.layers[0].parameters())
    objective.critic.zero_grad()
    objective.loss(rows, model, phase=MODEL, generator=Rows(0, 16)).total.backward()
    assert all(p.grad is None for p in objective.critic.parameters())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


# -- slopes over pairs ----------------------------------------------------------------------------------------------
SQUARED = float(OF_PAIRS[0, :4].square().sum())  # without the context


@pytest.mark.parametrize(
    ("penalty", "cost"),
    [("gradient", (SQUARED**0.5 - 1) ** 2), ("r1", SQUARED / 2), ("r2", SQUARED / 2), ("r1_r2", SQUARED)],
)
@pytest.mark.parametrize("context", [False, True])
def test_the_slope_is_that_in_u_and_z_and_not_in_the_context(penalty, cost, context):
    model = build(context=Event((1,)) if context else None)
    objective = ready(model, "wasserstein", penalty, critic=Linear())
    loss = objective.loss(batch(context=context), model, phase=CRITIC, generator=Rows(0, 16))
    assert loss.terms["penalty"].item() == pytest.approx(cost, rel=1e-5)


def test_between_lies_between_pairs():
    """At a share e of the way both u and z are mixed: the slope of u z there is (z, u)."""
    model, share = build(1), Rows(4, 16).uniform()
    objective = ready(model, "wasserstein", "gradient", critic=Product())
    real, fake = (Shown(Rows(seed, 16).normal(1), Rows(seed + 10, 16).normal(1)) for seed in (5, 6))
    _, _, cost = objective._penalised(real, fake, share)
    mixed = [share.unsqueeze(1) * a + (1 - share.unsqueeze(1)) * b for a, b in zip(real, fake, strict=True)]
    torch.testing.assert_close(cost, (torch.cat(mixed, 1).norm(dim=1) - 1).square())


@pytest.mark.parametrize("penalty", ["r1", "r2", "r1_r2"])
def test_one_pass_over_both_sides_says_what_two_do(penalty):
    model, rows = build(), batch()
    objective = ready(model, "wasserstein", penalty)
    real, fake = objective.shown(rows, model, Rows(3, 16).normal(2))
    together = objective._penalised(real, fake, torch.zeros(16))
    objective._norms = True
    for one, other in zip(together, objective._penalised(real, fake, torch.zeros(16)), strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(together[:2], objective.logits(real, fake))


def test_what_the_critic_is_told_of_pictures_keeps_their_shape():
    with seeded(0):
        model = BiGAN(Event((1, 8, 8), "bounded", low=0.0, high=1.0), latent=3, hidden=(8,))
    objective = ready(model, "non_saturating", "r1_r2", critic=Linear(torch.ones(1, 67)))
    objective.loss(Batch(Rows(0, 4).uniform(1, 8, 8)), model, phase=CRITIC, generator=Rows(0, 4))
    assert [(tuple(u.shape), tuple(told.shape)) for u, told in objective.critic.shown] == [((8, 1, 8, 8), (8, 3))]


# -- the theorem ----------------------------------------------------------------------------------------------------
def test_an_encoder_comes_to_invert_the_generator_with_no_cost_of_reconstruction():
    """Affine players on a Gaussian: E g = 1 from a random start, and the codes of the data have the noise's law."""
    model = build()
    with seeded(4):
        model.network, model.encoder = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    objective = ready(model, "non_saturating", "r1_r2", weight=0.1, critic_hidden=(32,))
    movers = {
        name: torch.optim.Adam(part.parameters(), lr=2e-2, betas=(0.0, 0.99))
        for name, part in objective.players(model).items()
    }
    law = torch.tensor([[1.0, 0.0], [0.6, 0.8]])  # u = law e + 1
    product, steps = torch.zeros(2, 2), 200
    for step in range(steps):
        for number, phase in enumerate(objective.phases(model)):
            seed = 2 * step + number
            rows = Batch(Rows(seed + 10_000, 64).normal(2) @ law.T + 1)
            movers[phase.player].zero_grad()
            objective.loss(rows, model, phase=phase, generator=Rows(seed, 64)).total.backward()
            movers[phase.player].step()
        if step >= steps // 2:  # players circle; their average does not
            product += (model.encoder.weight @ model.network.weight).detach() / (steps // 2)
    torch.testing.assert_close(product, torch.eye(2), atol=0.1, rtol=0)
    codes = model._encode(Rows(0, 4_000).normal(2) @ law.T + 1).detach()
    torch.testing.assert_close(codes.mean(0), torch.zeros(2), atol=0.2, rtol=0)
    torch.testing.assert_close(codes.std(0), torch.ones(2), atol=0.2, rtol=0)
