"""Losses against closed forms, who moves whom, and that a plain adversary finds a shift."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.gan.generator import Generator
from fairway.networks.critic import MLPCritic
from fairway.objectives.adversarial import Adversarial, Shown
from fairway.objectives.critic_losses import DIVERGENCES
from fairway.samplers.mcmc import frozen
from fairway.training.fit import fit

CRITIC, MODEL = Phase("critic"), Phase("model")


class Linear(torch.nn.Module):
    """d(u) = w . u, the critic whose gradient is known."""

    def __init__(self, *w):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor(w))

    def forward(self, u, context=None):
        return u.flatten(1) @ self.w


@pytest.fixture
def model():
    with seeded(0):
        return Generator(Event((2,)), Event((), "category", levels=3), latent=2, hidden=(8,))


def batch(n=16):
    return Batch(Rows(1, n).normal(2), torch.eye(3)[Rows(2, n).integers(3)])


def ready(model, **options):
    objective = Adversarial(**{"critic_hidden": (8,), **options})
    with seeded(1):
        objective.setup(model)
    return objective


@pytest.mark.parametrize("divergence", list(DIVERGENCES))
def test_each_player_moves_alone(model, divergence):
    objective = ready(model, divergence=divergence)
    objective.loss(batch(), model, phase=CRITIC, generator=Rows(0, 16)).total.backward()
    assert all(p.grad is None for p in model.parameters())
    assert all(p.grad is not None for p in objective.critic.network.layers[0].parameters())
    objective.critic.zero_grad()
    objective.loss(batch(), model, phase=MODEL, generator=Rows(0, 16)).total.backward()
    assert all(p.grad is None for p in objective.critic.parameters())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    assert all(p.requires_grad for p in objective.critic.parameters())


def test_fakes_carry_the_context_of_the_batch(model):
    seen = []

    class Spy(torch.nn.Module):
        def forward(self, u, context=None):
            seen.append(context)
            return u.sum(1)

    rows = batch()
    Adversarial(critic=Spy(), penalty="none").loss(rows, model, phase=CRITIC, generator=Rows(0, 16))
    torch.testing.assert_close(seen[0], torch.cat([rows.context, rows.context]))


def test_rows_count_by_their_weight(model):
    objective = Adversarial(critic=Linear(1.0, 0.0), penalty="none")
    rows = batch(2)
    weighted = Batch(rows.u, rows.context, weight=torch.tensor([3.0, 1.0]))
    got = objective.loss(weighted, model, phase=CRITIC, generator=Rows(0, 2)).terms["critic"]
    fake = model._decode(Rows(0, 2).normal(2), rows.context)
    per_row = fake[:, 0] - rows.u[:, 0]
    torch.testing.assert_close(got, (3 * per_row[0] + per_row[1]) / 4)


def test_frozen_gives_back_what_it_took():
    critic = MLPCritic(2, (4,))
    critic.network.last.bias.requires_grad_(False)
    with frozen(critic):
        assert not any(p.requires_grad for p in critic.parameters())
    assert [p.requires_grad for p in critic.parameters()] == [True, True, True, False]


def test_phases_and_players(model):
    objective = ready(model, critic_steps=3)
    assert [(p.player, p.times) for p in objective.phases(model)] == [("critic", 3), ("model", 1)]
    assert objective.players(model) == {"model": model, "critic": objective.critic}
    assert set(objective.state_dict()) == {f"critic.{k}" for k in objective.critic.state_dict()}


def test_errors_say_what_to_do(model):
    with pytest.raises(ValueError, match=r"expected divergence among wasserstein, non_saturating, .*; got 'js'"):
        Adversarial("js")
    with pytest.raises(ValueError, match=r"call setup\(model\) first"):
        Adversarial().players(model)
    with pytest.raises(ValueError, match=r"expected penalty among none, .*; got 'r3'"):
        Adversarial(penalty="r3")
    with pytest.raises(ValueError, match="expected rule among alternating, simultaneous, extragradient; got 'turns'"):
        Adversarial(rule="turns")
    with pytest.raises(ValueError, match="expected critic_steps=1 and every=1 with rule='simultaneous', got 5 and 1"):
        Adversarial(rule="simultaneous")


def test_lazy_penalties_are_moves_of_their_own_and_as_many_times_as_heavy(model):
    often, lazy = (ready(model, critic=Linear(3.0, 4.0), penalty="r1_r2", weight=0.5, every=k) for k in (1, 16))
    assert [(p.player, p.every) for p in lazy.phases(model)] == [("critic", 1), ("critic", 16), ("model", 1)]
    plain, penalty, _ = lazy.phases(model)
    one = often.loss(batch(), model, phase=CRITIC, generator=Rows(0, 16))
    two = lazy.loss(batch(), model, phase=plain, generator=Rows(0, 16))
    assert "penalty" not in two.terms
    torch.testing.assert_close(two.total, one.terms["critic"])
    alone = lazy.loss(batch(), model, phase=penalty, generator=Rows(0, 16))
    torch.testing.assert_close(alone.total, torch.tensor(16 * 0.5 * 25.0))  # |(3, 4)|^2 / 2 on both sides
    torch.testing.assert_close(one.total - one.terms["critic"], torch.tensor(0.5 * 25.0))


@pytest.mark.parametrize(("penalty", "cost"), [("r1", 0.5), ("r2", 4.5), ("r1_r2", 5.0)])
def test_each_side_pays_where_it_lies(model, penalty, cost):
    """d(u) = |u|^2 / 2 has slope u: real rows at distance 1, fakes at distance 3."""

    class Bowl(torch.nn.Module):
        def forward(self, u, context=None):
            return 0.5 * u.square().sum(1)

    objective = Adversarial(penalty=penalty, critic=Bowl())
    real, fake = torch.tensor([[1.0, 0.0]] * 4), torch.tensor([[0.0, 3.0]] * 4)
    loss = objective.critic_loss(Batch(real), Shown(real, None), Shown(fake, None), torch.zeros(4))
    torch.testing.assert_close(loss.terms["penalty"], torch.tensor(cost))


def test_patches_count_as_their_mean(model):
    class Patches(torch.nn.Module):
        def forward(self, u, context=None):
            return torch.stack([u, 3 * u], 1)

    rows = batch(3)
    got = Adversarial(critic=Patches(), penalty="none").loss(rows, model, phase=MODEL, generator=Rows(0, 3))
    fake = model._decode(Rows(0, 3).normal(2), rows.context)
    torch.testing.assert_close(got.total, -2 * fake.mean())


def test_views_come_between_rows_and_critic_with_noise_of_their_own(model):
    seen = []

    class Shift(torch.nn.Module):
        def forward(self, u, rows):
            seen.append(rows.uniform())
            return u + 100

    class Spy(torch.nn.Module):
        def forward(self, u, context=None):
            assert (u > 50).all()
            return u.sum(1)

    objective = Adversarial(critic=Spy(), penalty="none", views=(Shift(),))
    for phase in (CRITIC, MODEL):
        objective.loss(batch(), model, phase=phase, generator=Rows(0, 16))
    assert len(seen) == 4 and (seen[0] != seen[1]).any()


def test_the_critic_that_tells_all_is_named_with_what_to_change():
    assert Adversarial().diagnose({"accuracy": 0.8}) is None and Adversarial().diagnose({}) is None
    assert "penalty='r1_r2'" in Adversarial().diagnose({"accuracy": 1.0})


def test_a_saturated_run_says_so_once(caplog):
    class Sure(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.w = torch.nn.Parameter(torch.ones(()))

        def forward(self, u, context=None):
            return self.w * torch.tanh((u[:, 0] - 5e4) / 1e4)

    far = 1e5 + torch.rand(100, 2)
    objective = Adversarial("non_saturating", "none", critic_steps=1, critic=Sure())
    fit("gan", far, objective=objective, preprocess=False, hidden=(4,), steps=40, log_every=5, seed=0)
    assert len([line for line in caplog.messages if "hardly learns" in line]) == 1


def test_a_monitor_picks_weights_and_ends_nothing():
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    options = {"hidden": (4,), "critic_hidden": (4,), "steps": 200, "evaluate_every": 5, "seed": 0}
    model = fit("gan", x, **options, **{"objective.monitor": "sliced_wasserstein"})
    assert model.history.steps == 200 and model.history.stopped == "all steps taken"
    assert 0 < model.history.best_step < 200


def test_the_model_may_know_how_long_it_takes(model):
    assert Adversarial().steps_of(model) is None
    object.__setattr__(model, "steps", 123)
    assert Adversarial().steps_of(model) == 123


def test_two_moves_of_one_player_are_refused_where_all_gradients_come_first():
    with pytest.raises(ValueError, match="got 1 and 16"):
        Adversarial(penalty="r1", critic_steps=1, every=16, rule="extragradient")


@pytest.mark.parametrize("penalty", ["none", "clip"])
def test_what_costs_nothing_has_no_lazy_move(model, penalty):
    phases = ready(model, penalty=penalty, every=16).phases(model)
    assert [(p.player, p.every) for p in phases] == [("critic", 1), ("model", 1)]


def test_a_pair_of_weights_falls_from_one_to_the_other(model):
    objective, plain = (ready(model, penalty="r1_r2", weight=weight) for weight in ((8.0, 2.0), 8.0))
    plain.load_state_dict(objective.state_dict())
    for share, weight in ((0.0, 8.0), (0.5, 5.0), (1.0, 2.0)):
        objective.reach(share)
        plain.reach(share)
        found = objective.loss(batch(), model, phase=CRITIC, generator=Rows(0, 16))
        constant = plain.loss(batch(), model, phase=CRITIC, generator=Rows(0, 16))
        torch.testing.assert_close(found.total, found.terms["critic"] + weight * found.terms["penalty"])
        torch.testing.assert_close(constant.total, constant.terms["critic"] + 8 * constant.terms["penalty"])


def test_a_fit_tells_how_far_it_is():
    seen = []

    class Spy(Adversarial):
        def reach(self, share):
            super().reach(share)
            seen.append((share, float(self.weight)))

    fit("gan", torch.randn(64, 2), steps=4, seed=0, hidden=(4,), objective=Spy("relativistic", "r1_r2", (4.0, 0.0)))
    shares, weights = zip(*seen, strict=True)
    assert shares == (0, 0.25, 0.5, 0.75)
    torch.testing.assert_close(torch.tensor(weights), 2 + 2 * (torch.pi * torch.tensor(shares)).cos())


@pytest.mark.parametrize("weight", [-1.0, (1.0, -0.5), (1.0,), (3.0, 2.0, 1.0)])
def test_a_weight_that_is_none_is_refused(weight):
    with pytest.raises(ValueError, match="expected weight as a number of at least 0, or a pair"):
        Adversarial(weight=weight)
