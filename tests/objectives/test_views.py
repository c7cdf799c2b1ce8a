"""Views change laws as they say, row by row, and remember only what the critic told them."""

import json
from functools import partial

import pytest
import torch

from fairway.core.compiler import cannot_compile
from fairway.core.config import from_json, to_json
from fairway.core.event import Event
from fairway.core.objective import Batch, Phase, Step
from fairway.core.random import Rows, seeded
from fairway.models.gan.generator import Generator
from fairway.objectives import views as module
from fairway.objectives.adversarial import Adversarial
from fairway.objectives.views import MOST, AdaptiveAugmentation, InstanceNoise, rearranged
from fairway.training.noise_ahead import Played

CRITIC, MODEL = Phase("critic"), Phase("model")


def images(n, *shape):
    return Rows(3, n).normal(*shape)


@pytest.fixture
def model():
    with seeded(0):
        return Generator(Event((2,)), latent=2, hidden=(4,))


def ready(model, *views, **options):
    objective = Adversarial("non_saturating", "none", critic_steps=1, critic_hidden=(4,), views=views, **options)
    objective.setup(model)
    return objective


# -- noise ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("seen", "share"), [(0, 1.0), (3, 0.7), (10, 0.0), (12, 0.0)])
def test_noise_fades_in_a_straight_line(seen, share):
    view, u = InstanceNoise(0.5, fade=10), images(8, 3)
    for _ in range(seen):
        view.observe(torch.zeros(4))
    torch.testing.assert_close(view(u, Rows(1, 8)) - u, 0.5 * share * Rows(1, 8).normal(3))


def test_noise_that_does_not_fade_stays():
    view, u = InstanceNoise(0.5), images(8, 3)
    before = view(u, Rows(1, 8))
    view.observe(torch.zeros(4))
    assert view(u, Rows(1, 8)).equal(before)


def test_a_view_is_told_once_for_each_batch_of_the_critics(model):
    objective, rows = ready(model, InstanceNoise(fade=5)), Batch(images(16, 2))
    for phase, seen in ((CRITIC, 1), (MODEL, 1), (CRITIC, 2), (Phase(), 2)):
        objective.loss(rows, model, phase=phase, generator=Rows(0, 16))
        assert objective.views[0].seen == seen
    Step(model, objective).rehearse(rows, CRITIC, Rows(0, 16))
    assert objective.views[0].seen == 2


def test_real_and_fake_rows_have_noise_of_their_own(model):
    objective, seen = ready(model, InstanceNoise(1.0), InstanceNoise(1.0)), []
    objective.critic.register_forward_hook(lambda critic, given, out: seen.append(given[0]))
    with torch.no_grad():
        same = Batch(model._decode(Rows(0, 16).normal(2)))
    objective.loss(same, model, phase=CRITIC, generator=Rows(0, 16))
    first, second = (side - same.u for side in seen[0].chunk(2))
    assert (first - second).abs().min() > 1e-4
    assert first.std() == pytest.approx(2**0.5, rel=0.4)  # two views, not one of them twice: that would be 2


# -- augmentation ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("shape", [(5, 5), (3, 4, 4), (2, 4, 6)])
def test_pixels_move_as_they_do_by_hand(shape):
    n, square = 48, shape[-1] == shape[-2]
    u, flip, turns = images(n, *shape), Rows(0, n).integers(2).bool(), Rows(1, n).integers(4)
    down, right = Rows(2, n).integers(5) - 2, Rows(4, n).integers(5) - 2
    got = rearranged(u, flip, turns if square else None, down, right)
    for i in range(n):
        by_hand = u[i].flip(-1) if flip[i] else u[i]
        by_hand = torch.rot90(by_hand, int(turns[i]), (-2, -1)) if square else by_hand
        assert got[i].equal(by_hand.roll((int(down[i]), int(right[i])), (-2, -1)))


@pytest.mark.parametrize("p", [0.3, 0.8])
def test_each_operation_befalls_its_share_of_rows(p, monkeypatch):
    n, seen = 4000, []
    monkeypatch.setattr(module, "rearranged", lambda u, *how: seen.extend(how) or u)
    u = torch.stack([torch.ones(8, 8), -torch.ones(8, 8)], 1).flatten(0, 1).reshape(2, 8, 8).expand(n, 2, 8, 8)
    out = AdaptiveAugmentation(p)(u, Rows(0, n)).flatten(2)
    flip, turns, down, right = seen
    cut = (out == 0).any(2).any(1)
    bottom, top = out.amin((1, 2))[~cut], out.amax((1, 2))[~cut]
    stretched = (top - bottom - 2).abs() > 1e-5
    bright = ((top + bottom) / (top - bottom)).abs() > 1e-6
    shares = {
        "flip": (flip, p / 2),
        "turn": (turns > 0, 3 * p / 4),
        "shift": ((down != 0) | (right != 0), 8 * p / 9),
        "cutout": (cut, p),
        "contrast": (stretched, p),
        "brightness": (bright, p),
    }
    for name, (found, share) in shares.items():
        assert found.double().mean().item() == pytest.approx(share, abs=0.035), name
    assert set(turns.tolist()) == {0, 1, 2, 3} and set(down.tolist()) == {-1, 0, 1}
    both = (flip & (turns > 0)).double().mean().item()
    assert both == pytest.approx(3 * p**2 / 8, abs=0.03)  # one does not wait for the other


def test_a_cut_takes_up_to_a_quarter_of_an_image():
    out = AdaptiveAugmentation(0.8)(torch.ones(500, 12, 12), Rows(0, 500))
    share = (out == 0).double().mean((1, 2))
    assert 0.05 < share[share > 0].min() < 0.1 and share.max() == 0.25  # at a corner, and inside


def test_a_probability_of_0_changes_nothing():
    u = images(20, 3, 4, 4)
    assert AdaptiveAugmentation()(u, Rows(0, 20)).equal(u)


@pytest.mark.parametrize("shape", [(3, 3), (2, 2, 4)])
@pytest.mark.parametrize("view", [AdaptiveAugmentation(0.7), InstanceNoise(0.3)])
def test_a_view_is_differentiable_and_knows_rows_by_themselves(view, shape):
    u = images(70, *shape).double()
    whole = view(u, Rows(0, 70, dtype=u.dtype))
    torch.testing.assert_close(view(u[:10], Rows(0, 10, dtype=u.dtype)), whole[:10])
    torch.testing.assert_close(view(u[64:], Rows(0, 6, 64, dtype=u.dtype)), whole[64:])
    few = u[:2].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda u: view(u, Rows(0, 2, dtype=u.dtype)), few)
    assert torch.autograd.gradgradcheck(lambda u: view(u, Rows(0, 2, dtype=u.dtype)).square(), few)


# -- how far to go --------------------------------------------------------------------------------------------------
def test_the_probability_follows_the_critic():
    view = AdaptiveAugmentation(0.4, span=1000)
    knows, guesses = torch.ones(20), torch.tensor([1.0, -1.0]).repeat(10)
    view.observe(knows)
    assert view.p.item() == pytest.approx(0.42)
    for _ in range(2):
        view.observe(guesses)
    assert view.p.item() == pytest.approx(0.38)
    for _ in range(100):
        view.observe(guesses)
    assert view.p == 0
    for _ in range(100):
        view.observe(knows)
    assert view.p.item() == pytest.approx(MOST)


def test_the_probability_settles_where_the_critic_knows_as_much_as_it_should():
    """A critic that is right of 95 % of the real rows, less 50 % of p: E sign = 0.9 - p, which is 0.6 at p = 0.3."""
    view = AdaptiveAugmentation(span=4000, target=0.6)
    for step in range(300):
        right = Rows(step, 64).uniform() < 0.95 - 0.5 * view.p
        view.observe(torch.where(right, 3.0, -0.1))
    assert view.p.item() == pytest.approx(0.3, abs=0.1)


def test_a_fixed_probability_stays():
    view = AdaptiveAugmentation(0.5, target=None, span=10)
    view.observe(torch.ones(64))
    assert view.p == 0.5


@pytest.mark.skipif(cannot_compile() is not None, reason="no C++ compiler was found")
def test_a_compiled_critic_is_remembered_as_well():
    noise, view = InstanceNoise(fade=5), AdaptiveAugmentation(0.1, span=100).double()
    weight = torch.ones(6, requires_grad=True)

    @partial(torch.compile, fullgraph=True, dynamic=False)
    def learn(u, uniforms):
        logits = ((noise(u, Played(Rows(0, 5), [uniforms])) * (uniforms > view.p)) * weight).sum(1)
        for each in (noise, view):
            each.observe(logits.detach())
        return logits.sum()

    for k in range(1, 4):
        learn(-torch.ones(5, 6), torch.rand(5, 6)).backward()
        assert noise.seen.item() == k and view.p.item() == pytest.approx(max(0.1 - 0.05 * k, 0))


# -- as a part ------------------------------------------------------------------------------------------------------
def test_a_run_has_its_own_memory_and_the_configuration_none(model):
    mine = InstanceNoise(fade=5)
    objective = ready(model, mine, AdaptiveAugmentation(0.25, target=None))
    objective.views[0].observe(torch.ones(4))
    assert objective.views[0].seen == 1 and mine.seen == 0
    assert {"views.0.seen", "views.1.p"} <= set(objective.state_dict())
    again = from_json(json.loads(json.dumps(to_json(objective))))
    assert [type(view) for view in again.views] == [InstanceNoise, AdaptiveAugmentation]
    assert again.views[0].arguments == mine.arguments and again.views[0].seen == 0 and again.views[1].p == 0.25


def test_a_module_without_a_memory_is_a_view_as_well(model):
    class Half(torch.nn.Module):
        def forward(self, u, rows):
            return u / 2

    objective, seen = ready(model, Half()), []
    objective.critic.register_forward_hook(lambda critic, given, out: seen.append(given[0]))
    rows = Batch(images(16, 2))
    objective.loss(rows, model, phase=CRITIC, generator=Rows(0, 16))
    assert seen[0][:16].equal(rows.u / 2)


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: InstanceNoise(-0.1), r"std and fade of at least 0, got std=-0\.1"),
        (lambda: InstanceNoise(float("nan")), "std and fade of at least 0"),
        (lambda: AdaptiveAugmentation(1.0), r"a probability in \[0, 0\.8\], got 1\.0: what happens to nearly every"),
        (lambda: AdaptiveAugmentation(target=2.0), r"a target in \[-1, 1\]"),
        (lambda: AdaptiveAugmentation(span=0), "a span of at least 1"),
        (lambda: AdaptiveAugmentation()(torch.zeros(4, 2), Rows(0, 4)), r"images .*, got \(4, 2\): .* InstanceNoise"),
    ],
)
def test_errors_say_what_to_do(build, says):
    with pytest.raises(ValueError, match=says):
        build()
