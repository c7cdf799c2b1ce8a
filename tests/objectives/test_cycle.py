"""Terms against closed forms, who moves whom, and that no row is compared with its context."""

import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.gan.cycle_gan import CycleGAN
from fairway.models.gan.pix2pix import Pix2Pix
from fairway.objectives.cycle import Cycle
from fairway.training import checkpoint

MODEL, CRITIC = Phase("model"), Phase("critic")
GREY, PLANE, COLOUR = Event((4, 4)), Event((1, 4, 4)), Event((3, 4, 4))


class Scale(torch.nn.Module):
    """A generator that multiplies, whatever the noise."""

    def __init__(self, by):
        super().__init__()
        self.by = torch.nn.Parameter(torch.tensor(by))

    def forward(self, image, z):
        return self.by * image


class Mean(torch.nn.Module):
    """A critic whose logit is the mean of the image."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, u, context=None):
        return self.scale * u.flatten(1).mean(1)


def build(event=GREY, context=GREY):
    with seeded(0):
        return CycleGAN(event, context, latent=2, hidden=(4,), blocks=1)


def ready(model, **options):
    objective = Cycle(**options)
    objective.check(model)
    with seeded(1):
        objective.setup(model)
    return objective


def batch(n=8, seed=0):
    rows = Rows(seed, n)
    return Batch(rows.normal(4, 4), 1 + rows.normal(4, 4))


@pytest.fixture
def scaling():
    """g doubles, h takes 0.4 times; critics are means."""
    model = build()
    model.network, model.back = Scale(2.0), Scale(0.4)
    objective = ready(model, cycle=3.0, identity=7.0)
    for game in objective.games:
        game.critic = Mean()
    return model, objective


def test_generators_minimise_what_the_paper_says(scaling):
    model, objective = scaling
    rows = batch()
    b, a = rows.u, rows.context
    loss = objective.loss(rows, model, phase=MODEL, generator=Rows(0, 8))
    pleased = [(side.flatten(1).mean(1) - 1).square().mean() for side in (2 * a, 0.4 * b)]
    torch.testing.assert_close(loss.terms["generator"], sum(pleased))
    torch.testing.assert_close(loss.terms["cycle"], 3 * 0.2 * (a.abs().mean() + b.abs().mean()))
    torch.testing.assert_close(loss.terms["identity"], 7 * (b.abs().mean() + 0.6 * a.abs().mean()))
    torch.testing.assert_close(loss.total, sum(loss.terms.values()))


def test_critics_minimise_half_of_the_squares(scaling):
    model, objective = scaling
    rows = batch()
    loss = objective.loss(rows, model, phase=CRITIC, generator=Rows(0, 8))
    expected = 0.0
    for real, fake in ((rows.u, 2 * rows.context), (rows.context, 0.4 * rows.u)):
        r, f = (side.flatten(1).mean(1) for side in (real, fake))
        expected = expected + 0.5 * ((r - 1).square() + f.square()).mean()
    torch.testing.assert_close(loss.total, expected)
    torch.testing.assert_close(loss.terms["critic"], expected / 2)


@pytest.mark.parametrize("phase", [MODEL, CRITIC], ids=["generators", "critics"])
def test_no_row_is_compared_with_its_context(scaling, phase):
    model, objective = scaling
    rows, memory = batch(), {k: v.clone() for k, v in objective.state_dict().items()}
    one = objective.loss(rows, model, phase=phase, generator=Rows(0, 8)).total
    objective.load_state_dict(memory)
    other = objective.loss(rows.with_context(rows.context.flip(0)), model, phase=phase, generator=Rows(0, 8)).total
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("options", [{}, {"divergence": "relativistic", "penalty": "r1_r2"}, {"pool": 0}])
def test_each_player_moves_alone_and_all_of_it(options):
    model = build()
    objective = ready(model, **options)
    objective.loss(batch(), model, phase=CRITIC, generator=Rows(0, 8)).total.backward()
    assert all(p.grad is None for p in model.parameters())
    players = objective.players(model)
    assert set(players) == {"model", "critic"} and len(list(players["critic"].parameters())) > 4
    assert all(
        p.grad is not None and p.grad.ne(0).any() for game in objective.games for p in game.critic.last.parameters()
    )
    objective.zero_grad()
    objective.loss(batch(), model, phase=MODEL, generator=Rows(0, 8)).total.backward()
    assert all(p.grad is not None for p in model.parameters())
    assert all(p.grad is None for p in objective.parameters())
    assert all(p.requires_grad for p in objective.parameters())


def test_images_with_and_without_a_channel_axis_go_together():
    model = build(PLANE, GREY)
    objective = ready(model)
    rows = Batch(torch.randn(3, 1, 4, 4), torch.randn(3, 4, 4))
    for phase in objective.phases(model):
        assert objective.loss(rows, model, phase=phase, generator=Rows(0, 3)).total.isfinite()


def test_the_pool_holds_old_fakes_and_goes_through_a_checkpoint(scaling, tmp_path):
    """The generators stand still, so that every image in the pool is a known one; most are of earlier batches."""
    model, objective = scaling
    batches = [batch(8, seed) for seed in range(12)]
    for step, rows in enumerate(batches):
        objective.loss(rows, model, phase=CRITIC, generator=Rows(step, 8))
    for pool, fakes in zip(
        objective.pools, ([2 * r.context for r in batches], [0.4 * r.u for r in batches]), strict=True
    ):
        made = torch.cat(fakes).flatten(1).detach()
        distance, found = torch.cdist(pool.images, made, compute_mode="donot_use_mm_for_euclid_dist").min(1)
        assert pool.taken.sum() > 35 and distance[pool.taken].max() == 0
        assert len(found[pool.taken].unique()) == int(pool.taken.sum())
        assert (found[pool.taken] // 8).unique().numel() > 6
    checkpoint.write(tmp_path, (checkpoint.module_tensors("objective", objective), {"step": 1, "plan": {}}))
    again = ready(model)
    again.games = objective.games
    checkpoint.load_module("objective", again, checkpoint.read(tmp_path)[0])
    for one, other in zip(objective.pools, again.pools, strict=True):
        assert torch.equal(one.images, other.images) and torch.equal(one.taken, other.taken)
    one, other = (o.loss(batch(8, 99), model, phase=CRITIC, generator=Rows(99, 8)).total for o in (objective, again))
    assert one == other


def test_old_fakes_are_what_critics_are_shown(scaling):
    """A generator that has just changed is judged on what it made before, too."""
    model, objective = scaling
    for step in range(12):
        objective.loss(batch(8, step), model, phase=CRITIC, generator=Rows(step, 8))
    shown = []
    objective.games[0].critic.register_forward_hook(lambda m, inputs, out: shown.append(inputs[0][8:]))
    with torch.no_grad():
        model.network.by.fill_(1000.0)
    objective.loss(batch(8, 50), model, phase=CRITIC, generator=Rows(50, 8))
    large = shown[0].flatten(1).abs().mean(1) > 50
    assert 1 <= int(large.sum()) <= 7


def test_errors():
    with pytest.raises(
        CapabilityError, match="cycle needs a model that translates both ways, such as cycle_gan; got pix2pix"
    ):
        Cycle().check(Pix2Pix(GREY, GREY, hidden=(4,)))
    with pytest.raises(ValueError, match="for an identity, got 48 and 16 entries: pass identity=0"):
        ready(build(COLOUR, GREY))
    ready(build(COLOUR, GREY), identity=0.0)
    with pytest.raises(ValueError, match="expected cycle, identity and pool of at least 0, got"):
        Cycle(pool=-1)
    with pytest.raises(ValueError, match="expected divergence among"):
        Cycle(divergence="js")
