"""Glow: exact over levels, started from data once, its prior learned, its draws at a temperature."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import seeded
from fairway.models.flow.glow import Glow
from fairway.models.flow.transforms.actnorm import ActNorm
from fairway.models.flow.transforms.conv1x1 import Conv1x1
from fairway.models.flow.transforms.image_coupling import ImageCoupling
from fairway.models.flow.transforms.linear import Linear
from fairway.samplers.temperature import Temperature
from fairway.testing.latents import log_abs_det
from fairway.testing.subject import redraw
from fairway.training.fit import fit

LABEL = Event((), "category", levels=3)


def built(event, context_event=None, **options):
    with seeded(0):
        return (
            Glow(event, context_event, **{"transforms": 2, "hidden": (4,), **options})
            .double()
            .eval()
            .requires_grad_(False)
        )


def redrawn(event, context_event=None, **options):
    model = built(event, context_event, **options)
    redraw(model)
    return model


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


EVENTS = [Event((2,)), Event((5,)), Event((4, 4)), Event((3, 2, 4)), Event((1, 8, 8)), Event((3, 3))]


@pytest.mark.parametrize("event", EVENTS, ids=repr)
@pytest.mark.parametrize("context_event", [None, LABEL], ids=["alone", "label"])
def test_exact_both_ways(event, context_event):
    model = redrawn(event, context_event)
    u, c = normal(4, *event.shape), normal(4, 3, seed=1) if context_event else None
    z, ladj = model._to_latent(u, c)
    back, ladj_back = model._from_latent(z, c)
    torch.testing.assert_close(back, u, atol=1e-9, rtol=0)
    torch.testing.assert_close(ladj_back, -ladj)
    slogdet = log_abs_det(lambda v: model._encode(v, None if c is None else c[:2]), u[:2])
    torch.testing.assert_close(ladj[:2], slogdet, atol=1e-8, rtol=0)


def test_a_step_is_actnorm_then_a_matrix_then_a_coupling():
    image = list(built(Event((1, 4, 4)), levels=1).transform.links)
    assert [type(link) for link in image[1:7]] == [ActNorm, Conv1x1, ImageCoupling] * 2
    vector = list(built(Event((5,))).transform.links)
    assert [type(link) for link in vector[:2]] == [ActNorm, Linear] and len(vector) == 6


@pytest.mark.parametrize(("shape", "sizes"), [((28, 28), [4, 8]), ((3, 8, 8), [12, 24])])
def test_channels_by_level(shape, sizes):
    model = built(Event(shape), transforms=1)
    assert [m.channels for m in model.modules() if isinstance(m, Conv1x1)] == sizes
    assert model.levels == 2


def test_every_layer_starts_from_the_training_rows():
    model = built(Event((1, 8, 8)))
    u = 3 * normal(200, 1, 8, 8) + torch.linspace(-5, 5, 8)
    model._start(u)
    layers = [m for m in model.modules() if isinstance(m, ActNorm)]
    assert len(layers) == 4 and all(bool(m.started) for m in layers)
    h, _ = model.transform.steps.links[0].to_latent(u)
    h, _ = model.transform.steps.links[1].to_latent(h)
    assert float(h.mean((0, 2, 3)).abs().max()) < 1e-6 and float((h.std((0, 2, 3)) - 1).abs().max()) < 1e-3
    kept = [m.phi.clone() for m in layers]
    model._start(10 * u)
    assert all(torch.equal(a.phi, b) for a, b in zip(layers, kept, strict=True))


def test_a_constant_channel_is_survived():
    u = normal(50, 2, 4, 4)
    u[:, 1] = 2.5
    model = built(Event((2, 4, 4)), LABEL)
    model._start(u)
    z, ladj = model._to_latent(u, torch.zeros(50, 3).double())
    assert z.isfinite().all() and ladj.isfinite().all()


def test_a_fit_starts_the_layers_alike_every_time():
    x = (40 * normal(300, 4) + 1000).float()
    options = {"transforms": 2, "hidden": (4,), "seed": 0, "progress": False, "batch_size": 32}
    whole = fit("glow", x, steps=8, **options)
    assert all(bool(m.started) for m in whole.modules() if isinstance(m, ActNorm))
    again = fit("glow", x, steps=8, **options)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


def test_entries_that_are_done_have_a_prior_given_the_others():
    """Where the prior's coupling alone moves, b' depends on a, and a on nothing."""
    model = built(Event((1, 4, 4)), transforms=0, levels=2)
    prior = model.transform.steps.links[-1]
    redraw(prior)
    jacobian = torch.autograd.functional.jacobian(lambda v: model._encode(v).flatten(1).sum(0), normal(1, 1, 4, 4))
    jacobian = jacobian.reshape(16, 16)
    assert ((jacobian[:8] != 0).sum(1) == 1).all() and ((jacobian[8:] != 0).sum(1) > 1).all()


def test_a_temperature_scales_the_latents():
    model = redrawn(Event((1, 4, 4)))
    cool, warm = (model.encode(model.sample(64, sampler=Temperature(t), generator=0)) for t in (0.5, 1.0))
    torch.testing.assert_close(cool, 0.5 * warm, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("event", [Event((3,)), Event((1, 4, 4))], ids=repr)
def test_the_class_changes_density_and_samples(event):
    model, x = redrawn(event, LABEL), normal(4, *event.shape)
    assert float((model.log_prob(x, torch.tensor(0)) - model.log_prob(x, torch.tensor(2))).abs().min()) > 1e-3
    a, b = (model.sample(5, context=torch.tensor(k), generator=0) for k in (0, 2))
    assert float((a - b).abs().max()) > 1e-3
    with pytest.raises(ValueError, match="context"):
        model.log_prob(x, torch.zeros(4, 7))


@pytest.mark.parametrize("event", [Event((6,)), Event((1, 8, 8))], ids=repr)
def test_the_density_stays_a_number_at_large_inputs(event):
    model = redrawn(event).float()
    x = 1e4 * normal(4, *event.shape).float()
    assert model.log_prob(x).isfinite().all()
    assert model._decode(1e4 * normal(4, *event.shape, seed=1).float()).isfinite().all()


@pytest.mark.parametrize("event", [Event((6,)), Event((1, 8, 8))], ids=repr)
def test_wild_parameters_give_numbers(event):
    model = redrawn(event, transforms=4).float()
    redraw(model, spread=100.0)
    z, ladj = model._to_latent(10 * normal(8, *event.shape).float(), None)
    u, back = model._from_latent(10 * normal(8, model.dims).float(), None)
    assert all(part.isfinite().all() for part in (z, ladj, u, back))


def test_sizes_that_do_not_halve_are_named():
    with pytest.raises(ValueError, match=r"0 \(a flow of vectors\) to 2; got levels=3 .* divisible by 8"):
        Glow(Event((28, 28)), levels=3)
    with pytest.raises(
        ValueError, match=r"expected levels that the event can be squeezed, 0 \(a flow of vectors\); got"
    ):
        Glow(Event((1, 5, 4)), levels=1)
    with pytest.raises(ValueError, match="couples entries: expected at least 2"):
        Glow(Event((1,)))


def test_it_learns_which_pixels_go_together():
    """Pixels of one image are equal up to noise: a product of marginals costs much more."""
    level = normal(600, 1, 1, 1)
    x = (level + 0.1 * normal(600, 1, 4, 4, seed=1)).float()
    model = fit("glow", x, transforms=2, hidden=(8,), levels=1, steps=60, lr=1e-2, batch_size=64, progress=False)
    assert float(model.log_prob(x).mean()) > -16 * 1.42 + 10
