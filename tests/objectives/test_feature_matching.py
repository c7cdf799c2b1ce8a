"""The generator meets means of features, weighted as the rows are, and does not care for the verdict."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.gan.cgan import CGAN
from fairway.models.gan.generator import Generator
from fairway.networks.critic import MLPCritic
from fairway.objectives.adversarial import Adversarial
from fairway.objectives.feature_matching import FeatureMatching, mean_row
from fairway.training.fit import fit

CRITIC, MODEL = Phase("critic"), Phase("model")


class Moments(torch.nn.Module):
    """Features u and u^2, verdict 100 u_0."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def features(self, u, context=None):
        return self.scale * torch.cat([u, u.square()], 1)

    def forward(self, u, context=None):
        return 100 * self.scale * u[:, 0]


@pytest.fixture
def model():
    with seeded(0):
        return Generator(Event((2,)), latent=2, hidden=())


def ready(model, **options):
    objective = FeatureMatching(**options)
    with seeded(1):
        objective.setup(model)
    return objective


@pytest.mark.parametrize("weight", [None, torch.arange(1.0, 9.0)])
def test_the_loss_is_the_distance_of_mean_features(model, weight):
    objective, u = ready(model, critic=Moments()), Rows(1, 8).normal(2)
    loss = objective.loss(Batch(u, weight=weight), model, phase=MODEL, generator=Rows(0, 8))
    fake = model._decode(Rows(0, 8).normal(2))
    share = torch.full((8,), 1 / 8) if weight is None else weight / weight.sum()
    means = [share @ torch.cat([rows, rows.square()], 1) for rows in (u, fake)]
    torch.testing.assert_close(loss.total, (means[0] - means[1]).square().sum())
    assert set(loss.terms) == {"features"}


def test_where_the_means_agree_the_verdict_does_not_move_it(model):
    """The mirror image about the mean has the same first two moments, and quite other verdicts row by row."""
    with torch.no_grad():
        model.network.last.weight.copy_(torch.eye(2))
        model.network.last.bias.fill_(0.5)
        u = 1 - model._decode(Rows(0, 8).normal(2))
    u = u - u.mean(0) + model._decode(Rows(0, 8).normal(2)).detach().mean(0)
    loss = ready(model, critic=Moments()).loss(Batch(u), model, phase=MODEL, generator=Rows(0, 8)).total
    assert all(g.abs().max() < 1e-5 for g in torch.autograd.grad(loss, model.parameters()))
    plain = Adversarial("non_saturating", "none", critic=Moments())
    verdict = plain.loss(Batch(u), model, phase=MODEL, generator=Rows(0, 8)).total
    assert max(g.abs().max() for g in torch.autograd.grad(verdict, model.parameters())) > 0.1


def test_a_share_of_a_batch_is_of_the_whole_weight():
    batch = Batch(torch.zeros(2, 1), weight=torch.tensor([1.0, 2.0]), total=torch.tensor(6.0))
    torch.testing.assert_close(mean_row(batch, torch.tensor([[3.0], [6.0]])), torch.tensor([2.5]))


def test_each_player_moves_alone(model):
    objective, batch = ready(model, critic_hidden=(8,)), Batch(Rows(1, 16).normal(2))
    objective.loss(batch, model, phase=CRITIC, generator=Rows(0, 16)).total.backward()
    assert all(p.grad is None for p in model.parameters())
    assert all(p.grad is not None for p in objective.critic.parameters())
    objective.critic.zero_grad()
    objective.loss(batch, model, phase=MODEL, generator=Rows(0, 16)).total.backward()
    assert all(p.grad is None and p.requires_grad for p in objective.critic.parameters())
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())


def test_features_are_what_the_last_layer_takes():
    critic, u, context = MLPCritic(5, (8, 7)), Rows(0, 4).normal(3), Rows(1, 4).normal(2)
    h = critic.features(u, context)
    assert h.shape == (4, 7)
    torch.testing.assert_close(critic.network.last(h).squeeze(1), critic(u, context))


def test_convolutions_with_a_context():
    with seeded(0):
        model = CGAN(
            Event((8, 8), "bounded", low=0.0, high=1.0), Event((), "category", levels=3), latent=4, hidden=(8,)
        )
    objective = ready(model)
    batch = Batch(Rows(1, 6).normal(8, 8), torch.eye(3)[Rows(2, 6).integers(3)])
    assert objective.loss(batch, model, phase=MODEL, generator=Rows(0, 6)).total > 0


def test_it_finds_where_the_data_lie():
    x = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([30.0, 0.1]) + 500
    options = {"hidden": (32,), "critic_hidden": (32,), "steps": 300, "seed": 0}
    draws = fit("gan", x, objective="feature_matching", **options).sample(1000, generator=0)
    assert ((draws.mean(0) - x.mean(0)).abs() / x.std(0) < 0.5).all()
    assert ((draws.std(0) / x.std(0)).log().abs() < 0.5).all()


def test_a_critic_without_features(model):
    with pytest.raises(ValueError, match=r"a method features\(u, context\) -> \(B, F\), got Linear: give it one"):
        ready(model, critic=torch.nn.Linear(2, 1))
