"""MintNet: masks alone make a residual network invertible, with an exact determinant in one pass."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import seeded
from fairway.models.flow.mintnet import MintNet
from fairway.models.flow.transforms.mint import Mint
from fairway.testing.latents import log_abs_det
from fairway.testing.subject import redraw
from fairway.training.fit import fit


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def built(event, context_event=None, **options):
    with seeded(0):
        model = MintNet(event, context_event, **{"transforms": 2, "hidden": (3, 3), **options}).double().eval()
    redraw(model)
    return model.requires_grad_(False)


@pytest.mark.parametrize("event", [Event((2,)), Event((7,)), Event((3, 3)), Event((1, 4, 4))], ids=repr)
def test_inverse_both_ways_and_an_exact_density(event):
    model, u = built(event), 3 * normal(6, *event.shape)
    assert model.likelihood == "exact"
    z = model._encode(u)
    torch.testing.assert_close(model._decode(z), u, rtol=0, atol=1e-9)
    expected = model._log_base(z) + log_abs_det(model._encode, u)
    torch.testing.assert_close(model._log_prob(u), expected, rtol=0, atol=1e-8)


def test_orders_alternate_so_that_every_entry_sees_every_other():
    model = built(Event((4,)))
    layers = [m for m in model.modules() if isinstance(m, Mint)]
    assert [layer.reverse for layer in layers] == [False, True]
    matrix = torch.autograd.functional.jacobian(lambda r: model._encode(r.unsqueeze(0))[0], normal(4))
    assert float(matrix.abs().min()) > 0


def test_an_image_is_squeezed_and_seen_by_convolutions():
    model = built(Event((1, 8, 8)))
    layers = [m for m in model.modules() if isinstance(m, Mint)]
    assert [layer.channels for layer in layers] == [4, 4, 16, 16] and all(layer.maps[0].image for layer in layers)
    assert built(Event((1, 8, 8)), levels=0).shape == (64,)


def test_hidden_units_are_fewer_where_there_are_many_entries():
    sizes = {dims: MintNet(Event((dims,)), transforms=1).hidden for dims in (2, 64, 600)}
    assert sizes == {2: (16, 16), 64: (8, 8), 600: (2, 2)}


def test_context_changes_the_density_and_the_samples():
    model, x = built(Event((2,)), Event((), "category", levels=3)), normal(4, 2)
    one, other = torch.tensor(0), torch.tensor(2)
    assert float((model.log_prob(x, one) - model.log_prob(x, other)).abs().min()) > 1e-3
    a, b = model.sample(5, context=one, generator=0), model.sample(5, context=other, generator=0)
    assert float((a - b).abs().min()) > 1e-6


def test_it_learns_what_a_gaussian_cannot():
    angle = 6.28 * torch.rand(1_000, generator=torch.Generator().manual_seed(0))
    x = torch.stack([angle.cos(), angle.sin()], 1) + 0.08 * normal(1_000, 2).float()
    flow = fit("mintnet", x, transforms=2, hidden=(8, 8), steps=200, lr=2e-2, seed=0)
    gaussian = fit("gaussian", x)
    assert float((flow.log_prob(x) - gaussian.log_prob(x)).mean()) > 0.3


def test_reverse_kl_goes_down_through_the_draws():
    model = built(Event((2,))).train().requires_grad_(True)

    def loss():
        x, log_prob = model.sample_and_log_prob(128, generator=0)
        return (log_prob + 0.5 * (x - 2).square().sum(1)).mean()

    before, optimiser = float(loss().detach()), torch.optim.Adam(model.parameters(), 0.03)
    for _ in range(15):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    assert float(loss().detach()) < before - 0.5


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="levels"):
        built(Event((1, 5, 5)), levels=1)
    with pytest.raises(ValueError, match="two numbers of hidden units"):
        built(Event((2,)), hidden=(4, 4, 4))


@pytest.mark.parametrize("event", [Event((20,)), Event((1, 8, 8))], ids=repr)
def test_single_precision_comes_back_too(event):
    model, u = built(event).float(), 10 * normal(6, *event.shape).float()
    torch.testing.assert_close(model._decode(model._encode(u)), u, rtol=0, atol=1e-4)
