"""Packs: who is judged with whom, what a penalty is then of, and why it is worth while."""

import math
from itertools import product

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.metrics.divergence import f_divergence
from fairway.models.gan.dcgan import DCGAN
from fairway.models.gan.generator import Generator
from fairway.networks.critic import MLPCritic
from fairway.networks.dcgan import ConvCritic
from fairway.objectives.adversarial import Adversarial, Shown
from fairway.objectives.packing import Packed, Packing, widened

CRITIC, MODEL = Phase("critic"), Phase("model")


class Linear(torch.nn.Module):
    """d(pack) = w . (all its entries), of known slope."""

    def __init__(self, *w):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor(w))

    def forward(self, u, context=None):
        return u.flatten(1) @ self.w


@pytest.fixture
def model():
    with seeded(0):
        return Generator(Event((2,)), Event((3,)), latent=2, hidden=(8,))


def batch(n=16):
    return Batch(Rows(1, n).normal(2), Rows(2, n).normal(3))


def ready(model, objective):
    with seeded(1):
        objective.setup(model)
    return objective


def test_rows_of_a_pack_share_a_logit_and_no_other_row_matters():
    critic = Packed(MLPCritic(6, (8,)), 3)
    u = Rows(0, 12).normal(2)
    logits = critic(u)
    assert logits.reshape(4, 3).std(1).max() == 0 and logits.unique().shape == (4,)
    other = u.clone()
    other[4] += 1
    assert ((critic(other) != logits).nonzero().flatten()).tolist() == [3, 4, 5]
    torch.testing.assert_close(logits[3:6], critic.critic(u[3:6].reshape(1, 6)).expand(3))


def test_a_context_goes_with_its_rows(model):
    objective = ready(model, Packing(critic_hidden=(8,), pack=4))
    assert objective.critic.critic.arguments["inputs"] == 4 * (2 + 3)
    rows = batch()
    logits = objective.critic(rows.u, rows.context)
    other = rows.context.clone()
    other[9] += 1
    assert (objective.critic(rows.u, other) != logits).nonzero().flatten().tolist() == [8, 9, 10, 11]


@pytest.mark.parametrize("penalty", ["none", "gradient", "r1_r2", "r2"])
def test_packs_of_one_are_the_plain_game(model, penalty):
    options = {"penalty": penalty, "weight": 3.0, "critic_hidden": (8,), "critic_steps": 1}
    packed = ready(model, Packing(**options, pack=1))
    plain = ready(model, Adversarial("non_saturating", **{**options, "critic": packed.critic.critic}))
    for phase in (CRITIC, MODEL):
        one, other = (o.loss(batch(), model, phase=phase, generator=Rows(0, 16)) for o in (packed, plain))
        assert one.total.equal(other.total)


def test_each_player_moves_alone(model):
    objective = ready(model, Packing(critic_hidden=(8,), pack=4))
    objective.loss(batch(), model, phase=CRITIC, generator=Rows(0, 16)).total.backward()
    assert all(p.grad is None for p in model.parameters())
    assert all(p.grad.abs().sum() > 0 for p in objective.critic.parameters())
    objective.critic.zero_grad()
    objective.loss(batch(), model, phase=MODEL, generator=Rows(0, 16)).total.backward()
    assert all(p.grad is None for p in objective.critic.parameters())
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())


def test_a_pack_weighs_what_its_rows_do(model):
    w = (1.0, 0.0, 1.0, 0.0)
    objective = ready(model, Packing("wasserstein", critic=Linear(*w), pack=2))
    rows = batch(4)
    weighted = Batch(rows.u, rows.context, weight=torch.tensor([2.0, 1.0, 1.0, 0.0]))
    got = objective.loss(weighted, model, phase=CRITIC, generator=Rows(0, 4)).terms["critic"]
    fake = model._decode(Rows(0, 4).normal(2), rows.context)
    per_pack = (fake - rows.u)[:, 0].reshape(2, 2).sum(1)
    torch.testing.assert_close(got, (3 * per_pack[0] + per_pack[1]) / 4)


@pytest.mark.parametrize(
    ("penalty", "cost"), [("gradient", (math.sqrt(30) - 1) ** 2), ("r1", 15.0), ("r2", 15.0), ("r1_r2", 30.0)]
)
def test_a_penalty_is_of_the_slope_in_the_whole_pack(model, penalty, cost):
    objective = ready(model, Packing("wasserstein", penalty, critic=Linear(1.0, 2.0, 3.0, 4.0), pack=2))
    got = objective.loss(batch(), model, phase=CRITIC, generator=Rows(0, 16)).terms["penalty"]
    assert got.item() == pytest.approx(cost, rel=1e-5)


def test_a_point_between_packs_lies_on_their_segment(model):
    seen = []

    class Spy(Linear):
        def forward(self, u, context=None):
            seen.append(u.detach())
            return super().forward(u)

    objective = ready(model, Packing("wasserstein", "gradient", critic=Spy(1.0, 2.0, 3.0, 4.0), pack=2))
    real, fake = Shown(torch.zeros(8, 2), None), Shown(torch.ones(8, 2), None)
    objective.critic_loss(Batch(real.u), real, fake, objective.uniforms(Rows(0, 8)))
    point = next(u for u in seen if len(u) == 4)  # the others are of both sides together
    assert point.flatten(1).std(1).max() == 0 and point.unique().shape == (4,)


@pytest.mark.parametrize("pack", [1, 2])
def test_of_two_laws_as_far_away_packs_tell_the_one_that_lacks_a_mode(pack):
    """The paper's argument on four modes: both laws are 1/4 from uniform; the best critic's hinge loss is 2 - 2 TV."""
    uniform, found = torch.full((4,), 0.25), {}
    laws = {"collapsed": torch.tensor([3, 3, 2, 0]) / 8, "spread": torch.tensor([3, 3, 1, 1]) / 8}
    for name, law in laws.items():
        p, q = (torch.cartesian_prod(*[side] * pack).reshape(-1, pack).prod(1) for side in (uniform, law))
        distance = f_divergence(p, q, "total_variation").value
        real, fake = (Shown(_tuples(v, pack), None) for v in (uniform, law))  # each tuple as often as is likely
        with seeded(0):
            objective = Packing("hinge", critic=MLPCritic(4 * pack, (32,)), pack=pack)
        objective.setup(None)
        optimiser = torch.optim.Adam(objective.critic.parameters(), lr=1e-2)
        for _ in range(300):
            loss = objective.critic_loss(Batch(real.u), real, fake, torch.zeros(len(real.u))).total
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        assert loss.item() == pytest.approx(2 - 2 * distance, abs=0.02)
        found[name] = distance
    assert found["collapsed"] - found["spread"] == pytest.approx(0.0 if pack == 1 else 1 / 8, abs=1e-6)


def _tuples(law, m):
    """Rows (8^m m, 4), one-hot: every m-tuple of modes, as often as it has probability."""
    modes = torch.arange(4).repeat_interleave((8 * law).long())
    return torch.eye(4)[torch.tensor(list(product(modes.tolist(), repeat=m))).flatten()]


# -- critics of packs -----------------------------------------------------------------------------------------------
def test_convolutions_see_a_pack_as_channels():
    critic = widened(ConvCritic((3, 8, 8), 2, hidden=(4,)), 2)
    assert critic.channels == 6 and critic.project.in_features == 4
    packed, u, context = Packed(critic, 2), Rows(0, 4).normal(3, 8, 8), Rows(1, 4).normal(2)
    torch.testing.assert_close(packed(u, context)[::2], critic(u.reshape(2, 6, 8, 8), context.reshape(2, 4)))
    assert Packed(widened(ConvCritic((8, 8), hidden=(4,)), 4), 4)(Rows(0, 8).normal(8, 8)).shape == (8,)


def test_packs_of_images_through_a_critic_that_norms():
    with seeded(0):
        model = DCGAN(Event((16, 16), "bounded", low=0.0, high=1.0), latent=4, hidden=(8, 4))
    objective = ready(model, Packing(pack=2))
    assert not objective._together
    for phase in (CRITIC, MODEL):
        rows = Batch(Rows(1, 8).normal(16, 16))
        assert objective.loss(rows, model, phase=phase, generator=Rows(0, 8)).total.isfinite()


def test_logits_of_patches_are_repeated_as_they_are():
    class Patches(torch.nn.Module):
        def forward(self, u, context=None):
            return u.flatten(1)[:, :3]

    assert Packed(Patches(), 2)(torch.randn(6, 2)).shape == (6, 3)


def test_setting_up_twice_packs_once(model):
    objective = ready(model, Packing(critic_hidden=(8,)))
    critic = objective.critic
    objective.setup(model)
    assert objective.critic is critic


# -- errors ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("phase", [CRITIC, MODEL])
def test_rows_that_do_not_divide(model, phase):
    """6 and 6 rows would make 3 packs of 4, the second one half real and half fake."""
    objective = ready(model, Packing(critic_hidden=(8,), pack=4))
    with pytest.raises(ValueError, match="rows in packs of 4, got 6: take batch_size=4 or 8, or another pack"):
        objective.loss(batch(6), model, phase=phase, generator=Rows(0, 6))
    with pytest.raises(ValueError, match="packs of 4, got 3: take batch_size=4, or another pack"):
        objective.critic(torch.zeros(3, 2), torch.zeros(3, 3))


def test_packs_of_nothing():
    for build in (lambda: Packing(pack=0), lambda: Packed(torch.nn.Linear(1, 1), 0)):
        with pytest.raises(ValueError, match="packs of at least 1 row, got 0"):
            build()


def test_a_critic_that_cannot_be_widened():
    with pytest.raises(ValueError, match=r"got Linear: give Packing a critic=.* of packs, \(B/3, 3, \*U\) -> \(B/3,\)"):
        widened(torch.nn.Linear(2, 1), 3)


def test_a_lazy_penalty_weighs_as_much_in_the_mean(model):
    options = {"divergence": "wasserstein", "penalty": "r1_r2", "weight": 2.0, "critic_hidden": (8,), "pack": 2}
    with seeded(0):
        eager = ready(model, Packing(**options))
    with seeded(0):
        lazy = ready(model, Packing(**options, every=4))
    batch, lazy_phase = Batch(Rows(1, 8).normal(2), Rows(2, 8).normal(3)), Phase("critic", every=4)
    assert lazy_phase in lazy.phases(model) and lazy_phase not in eager.phases(model)
    whole = eager.loss(batch, model, phase=Phase("critic"), generator=Rows(0, 8)).terms["penalty"]
    apart = lazy.loss(batch, model, phase=lazy_phase, generator=Rows(0, 8)).total
    torch.testing.assert_close(apart, 4 * 2.0 * whole)
    assert "penalty" not in lazy.loss(batch, model, phase=Phase("critic"), generator=Rows(0, 8)).terms
