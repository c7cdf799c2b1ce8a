"""Patches in alternating order under causal attention: exact, invertible, guided, and denoised by its own score."""

import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.random import Rows, seeded
from fairway.models.flow.tarflow import TarFlow, tokens_of
from fairway.samplers.guidance import Guided
from fairway.samplers.tweedie import Tweedie
from fairway.training.fit import fit

TINY = {"transforms": 2, "width": 8, "layers": 1, "heads": 2}


def normal(*shape, seed=0):
    return Rows(seed, shape[0], dtype=torch.float64).normal(*shape[1:])


def redrawn(event, context_event=None, **options):
    with seeded(0):
        model = TarFlow(event, context_event, **{**TINY, **options}).double()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return model.eval().requires_grad_(False)


def test_as_built_it_is_the_identity_up_to_order():
    model, x = TarFlow(Event((1, 4, 4)), **TINY, patch=2).double().eval(), normal(5, 1, 4, 4)
    torch.testing.assert_close(model.encode(x).flatten(1).sort(1).values, x.flatten(1).sort(1).values)


@pytest.mark.parametrize(
    ("event", "patch"),
    [(Event((2,)), None), (Event((7,)), 3), (Event((4, 6)), 2), (Event((3, 4, 2)), None)],
    ids=["2", "7 by 3", "4x6 by 2", "3x4x2"],
)
def test_inverse_both_ways(event, patch):
    model, u = redrawn(event, patch=patch, transforms=3), normal(20, *event.shape)
    torch.testing.assert_close(model.decode(model.encode(u)), u, atol=1e-9, rtol=0)
    torch.testing.assert_close(model.encode(model.decode(u)), u, atol=1e-9, rtol=0)


def test_the_density_integrates_to_one():
    model, line = redrawn(Event((2,))), torch.linspace(-20, 20, 500, dtype=torch.float64)
    mass = model.log_prob(torch.cartesian_prod(line, line)).exp().sum() * (line[1] - line[0]) ** 2
    assert float(mass) == pytest.approx(1.0, abs=1e-3)


def test_a_token_is_a_square_of_all_channels():
    order, size = tokens_of((2, 4, 4), 2)
    image = torch.arange(32).reshape(2, 4, 4)
    assert size == 8 and torch.equal(order[8:16], image[:, :2, 2:].flatten())


@pytest.mark.parametrize(
    ("shape", "tokens"), [((63,), 63), ((100,), 50), ((28, 28), 49), ((3, 32, 32), 64), ((8, 8), 64), ((2, 2), 4)]
)
def test_there_are_at_most_64_tokens(shape, tokens):
    assert TarFlow(Event(shape), **TINY).tokens == tokens


@pytest.mark.parametrize(("shape", "patch"), [((4, 4), 3), ((4, 4), 4), ((5,), 5), ((5,), -1), ((1, 4), 2)])
def test_a_patch_that_does_not_fit_is_refused(shape, patch):
    with pytest.raises(ValueError, match="expected a patch"):
        TarFlow(Event(shape), **TINY, patch=patch)


def test_alternating_orders_let_every_token_move_given_all():
    model = redrawn(Event((5,)))
    matrix = torch.autograd.functional.jacobian(lambda r: model._encode(r[None])[0], normal(5))
    assert bool((matrix != 0).all())


def test_dropout_is_for_images_and_asked_for_otherwise():
    def rates(event, **options):
        return {m.p for m in TarFlow(event, **TINY, **options).modules() if isinstance(m, torch.nn.Dropout)}

    assert rates(Event((4,))) == set() and rates(Event((2, 2))) == {0.1}
    assert rates(Event((4,)), dropout=0.5) == {0.5} and rates(Event((2, 2)), dropout=0.0) == set()


def labelled(n=600, seed=0):
    """Two overlapping clumps, told apart by their label."""
    label = (torch.arange(n) % 2).long()
    return normal(n, 2, seed=seed).float() + 1.5 * (2 * label.unsqueeze(1) - 1), label


def test_guidance_pulls_draws_away_from_the_other_class():
    x, label = labelled()
    model = fit("tarflow", x, context=label, steps=150, lr=1e-2, context_dropout=0.3, **TINY)
    means = [
        float(model.sample(400, context=torch.tensor(1), sampler=Guided(scale), generator=0).mean())
        for scale in (0.0, 1.0, 2.0)
    ]
    assert abs(means[0]) < 0.5 and means[1] == pytest.approx(1.5, abs=0.3) and means[2] > means[1] + 0.5
    own = model.sample(5, context=torch.tensor(1), generator=3)
    assert torch.equal(model.sample(5, context=torch.tensor(1), sampler=Guided(1.0), generator=3), own)


@pytest.mark.parametrize(("context", "options"), [(None, {}), (Event((2,)), {"context_dropout": 0.0})])
def test_what_never_missed_its_context_cannot_be_guided(context, options):
    model = redrawn(Event((3,)), context, **options)
    given = {} if context is None else {"context": torch.zeros(2)}
    with pytest.raises(CapabilityError, match="cannot be guided"):
        model.sample(2, sampler=Guided(2.0), generator=0, **given)


def test_its_own_score_takes_the_noise_off_its_draws():
    """Points on a line, blurred in training: denoised draws lie nearer the line than the draws themselves."""
    t = normal(800, 1).float()
    x = torch.cat([t, -t], 1)
    model = fit("tarflow", x, objective="noisy_mle", noise=0.3, steps=200, lr=1e-2, **TINY)
    noisy, clean = model.sample(300, generator=0), model.sample(300, sampler=Tweedie(0.3), generator=0)
    assert float(clean.sum(1).std()) < 0.6 * float(noisy.sum(1).std())
    assert float(clean[:, 0].std()) == pytest.approx(1.0, abs=0.2)


def test_strokes_are_the_tokens():
    assert redrawn(Event((1, 4, 4)), patch=2).draw(2, generator=0).evaluations == 4
