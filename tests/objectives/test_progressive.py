"""Both players and the data grow together; what has not come in yet stands still; nothing is forgotten on the way."""

import copy

import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.objective import Batch, Phase, Step
from fairway.core.random import Rows, seeded
from fairway.models.gan.progan import ProGAN
from fairway.models.gan.r3gan import R3GAN
from fairway.networks.progan import ProGANCritic
from fairway.objectives.adversarial import Adversarial
from fairway.objectives.progressive import Progressive
from fairway.training import checkpoint
from fairway.training.callbacks import Callback
from fairway.training.fit import fit

EVENT = Event((16, 16), "bounded", low=0.0, high=1.0)
OPTIONS = {"latent": 4, "hidden": (6, 5, 4), "grow": 4}
GROWN = 4 + 4 + 2  # steps: two sizes, and the fade of the third


def pictures(n=64):
    return torch.rand(n, 16, 16, generator=torch.Generator().manual_seed(0))


def set_up(objective=None):
    with seeded(0):
        model, objective = ProGAN(EVENT, **OPTIONS), objective or Progressive()
        objective.setup(model)
    objective.start(model, torch.zeros(1))
    return model, objective


def batch(n=8):
    return Batch(2 * pictures(n) - 1)


def train(steps, **options):
    chosen = {"batch_size": 8, "validation": 0, "seed": 1, **OPTIONS, **options}
    return fit("progan", pictures(), steps=steps, **chosen)


class Watch(Callback):
    """Calls a function after every step."""

    def __init__(self, look):
        self.look = look

    def on_step(self, run):
        self.look(run)


def test_it_is_the_game_of_the_paper():
    objective = Progressive()
    assert (objective.weight, objective.drift, objective.penalty.at) == (10, 1e-3, "between")
    assert [(p.player, p.times) for p in objective.phases(None)] == [("critic", 1), ("model", 1)]


def test_both_players_read_the_same_buffers_in_copies_too():
    model, objective = set_up()
    assert objective.critic.growth is model.growth and model.growth.now == (0, 1.0)
    twin = copy.deepcopy(Step(model, objective))
    twin.model.growth.advance()
    assert twin.objective.critic.growth is twin.model.growth and int(model.growth.age) == 0


def test_the_generators_moves_make_both_older():
    model, objective = set_up()
    critic, last = objective.phases(model)
    assert critic.after is None
    for _ in range(4):
        last.after(model)
    assert objective.critic.growth.now == (1, 0.5)


def test_data_are_as_coarse_as_the_fakes():
    model, objective = set_up()
    rows = batch()
    for level in range(3):
        model.growth.level.fill_(level)
        real, fake = objective.shown(rows, model, Rows(0, 8).normal(4))
        assert torch.equal(real.u, model.growth.coarse(rows.u)) and torch.equal(
            fake.u, model._decode(Rows(0, 8).normal(4))
        )
        torch.testing.assert_close(model.growth.coarse(fake.u), fake.u)
    assert torch.equal(real.u, rows.u)


def test_answers_to_real_rows_cost_a_little():
    model, plain = set_up(Progressive(drift=0.0))
    drifting = Progressive(drift=0.5)
    drifting.critic = plain.critic
    costs = [o.loss(batch(), model, phase=Phase("critic"), generator=Rows(3, 8)).total for o in (plain, drifting)]
    real = plain.critic(model.growth.coarse(batch().u))
    torch.testing.assert_close(costs[1] - costs[0], 0.5 * real.square().mean())


def test_real_rows_and_fakes_pass_apart():
    """The critic is told how a group of rows varies."""
    model, objective = set_up()
    seen = []
    objective.critic.register_forward_hook(lambda module, given, out: seen.append(len(given[0])))
    for player in ("critic", "model"):
        objective.loss(batch(), model, phase=Phase(player), generator=Rows(3, 8))
    assert seen == [8, 8, 8, 8]  # real, fake, between; fake


def test_blocks_that_have_not_come_in_stand_still():
    model = train(4)
    with seeded(0):
        start = copy.deepcopy(model)
    moved = {}

    def look(run):
        if run.step == 1:
            start.load_state_dict(run.model.state_dict())
        moved[run.step] = {
            name.split(".")[1] + "." + name.split(".")[2]
            for (name, p), q in zip(run.model.named_parameters(), start.parameters(), strict=True)
            if name.startswith(("network.blocks", "network.heads")) and not torch.equal(p, q)
        }

    train(GROWN + 2, callbacks=[Watch(look)])
    assert moved[4] == {"heads.0"} and moved[8] == {"heads.0", "heads.1", "blocks.0"}
    assert moved[GROWN + 2] == {"heads.0", "heads.1", "heads.2", "blocks.0", "blocks.1"}


def test_it_grows_to_full_size_without_a_change_of_shape():
    levels, shapes = [], set()

    def look(run):
        levels.append(run.model.growth.now[0])
        shapes.add(
            tuple((k, tuple(v.shape)) for k, v in [*run.model.state_dict().items(), *run.average.shadow.items()])
        )

    model = train(GROWN, callbacks=[Watch(look)])
    assert levels == [0] * 3 + [1] * 4 + [2] * 3 and len(shapes) == 1 and model.growth.now == (2, 1.0)
    assert model.sample(3, generator=0)[0].unique().numel() > 200


def test_a_grown_model_goes_on_grown():
    model, levels = train(GROWN), []
    fit(model, pictures(), steps=2, batch_size=8, callbacks=[Watch(lambda run: levels.append(run.model.growth.now))])
    assert levels == [(2, 1.0), (2, 1.0)]


def test_under_another_objective_it_is_grown_from_the_start():
    model = fit("progan", pictures(), objective="adversarial", steps=1, batch_size=8, **OPTIONS)
    assert model.growth.now == (2, 1.0)
    model, objective = set_up(Adversarial("relativistic", "r1_r2", critic_steps=1))
    objective.loss(batch(), model, phase=Phase("model"), generator=Rows(0, 8)).total.backward()
    assert model.network.blocks[1][1].weight.grad is not None


class Killed(BaseException):
    """The power failed."""


@pytest.mark.parametrize("cut", [3, 4, 5, 9])
def test_a_run_cut_while_it_grows_goes_on_bit_for_bit(cut, tmp_path):
    def kill(run):
        if run.step == cut:
            checkpoint.write(run.out, run.state())
            raise Killed

    whole = train(12, out=tmp_path / "whole")
    with pytest.raises(Killed):
        train(12, out=tmp_path / "cut", callbacks=[Watch(kill)])
    resumed = train(12, out=tmp_path / "cut", resume=True)
    assert all(torch.equal(v, resumed.state_dict()[k]) for k, v in whole.state_dict().items())
    first, second = (checkpoint.read(tmp_path / name)[0] for name in ("whole", "cut"))
    assert first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def test_errors_say_what_to_do():
    with pytest.raises(CapabilityError, match="`growth`, which r3gan lacks: take progan"):
        fit("r3gan", pictures(), objective="progressive", steps=1, latent=4, hidden=(4,))
    with pytest.raises(ValueError, match="expected a critic of as many sizes as the generator, 3, got 2"):
        set_up(Progressive(critic_hidden=(4, 4)))
    Progressive().check(ProGAN(EVENT, **OPTIONS))
    assert not hasattr(R3GAN(Event((2,))), "growth") and ProGANCritic((16, 16), hidden=(4, 4)).growth.last == 1
