"""The diffusion transformer: zero at first, the paper's sizes, any shape, all derivatives, and it learns."""

import json

import pytest
import torch

from fairway.core.config import from_json, to_json
from fairway.core.event import Event
from fairway.core.objective import Batch
from fairway.core.random import Rows, seeded
from fairway.models.diffusion.ddpm import DDPM
from fairway.models.diffusion.edm import EDM
from fairway.networks.dit import DiT, positions
from fairway.testing.subject import redraw
from fairway.training.fit import fit


def network(shape=(2, 4, 4), context=0, **options):
    with seeded(0):
        return DiT(shape, context, **{"width": 8, "layers": 2, "heads": 2, **options})


def redrawn(shape=(2, 4, 4), context=0, **options):
    dit = network(shape, context, **options).double().eval()
    redraw(dit)
    return dit.requires_grad_(False)


def images(n, *shape, seed=0):
    return Rows(seed, n, dtype=torch.float64).normal(*(shape or (2, 4, 4)))


def times(n):
    return torch.linspace(0, 1, n, dtype=torch.float64)


SHAPES = [
    ((1, 8, 8), 2),
    ((3, 4, 6), 2),
    ((2, 5, 7), 2),  # padded on both sides
    ((1, 5, 4), 4),  # padded on one
    ((2, 3, 2), 1),
    ((1, 2, 3), 4),  # a patch wider than the image
    ((5, 8), 2),
]


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize(("shape", "patch"), SHAPES)
def test_it_keeps_the_shape_and_starts_at_zero(shape, patch, outputs):
    dit, u = network(shape, patch=patch, outputs=outputs).double(), images(3, *shape)
    out = dit(u, times(3))
    assert out.shape == (3, outputs * shape[0], *shape[1:]) and not out.any()
    redraw(dit)
    assert dit(u, times(3)).all()


def test_a_block_starts_as_the_identity():
    dit, h, c = network(), torch.randn(3, 4, 8), torch.randn(3, 8)
    for block in dit.blocks:
        assert torch.equal(block(h, c), h)
    redraw(dit)
    assert not torch.allclose(dit.blocks[0](h, c), h)


def test_an_image_comes_back_where_it_was():
    """With a stream that carries the entries of a patch, and a last layer that reads them, what goes in comes out."""
    dit = network((1, 3, 5), layers=1).double()
    with torch.no_grad():
        dit.first.weight.copy_(torch.eye(8, 4).reshape(8, 1, 2, 2))
        dit.first.bias.zero_()
        dit.positions.zero_()
        dit.last.weight.copy_(torch.eye(4, 8))
    u = images(2, 1, 3, 5)
    tokens = dit._patches(u)[:, :, :4]
    told = dit(u, times(2))
    for row, column in ((0, 0), (2, 4), (1, 3)):
        token, entry = row // 2 * 3 + column // 2, row % 2 * 2 + column % 2
        assert torch.equal(tokens[:, token, entry], u[:, 0, row, column])
        normed = torch.nn.functional.layer_norm(dit._patches(u)[:, token], (8,), eps=1e-6)[:, entry]
        torch.testing.assert_close(told[:, 0, row, column], normed)


def test_images_without_channels_are_images_of_one():
    flat, full = redrawn((5, 4), outputs=2), redrawn((1, 5, 4), outputs=2)
    u = images(3, 5, 4)
    torch.testing.assert_close(flat(u, times(3)).reshape(3, 2, 5, 4), full(u.unsqueeze(1), times(3)))


def test_every_entry_sees_every_patch_of_its_own_image():
    dit, u = redrawn((1, 4, 6)), images(1, 1, 4, 6)
    jacobian = torch.autograd.functional.jacobian(lambda v: dit(v, times(1)), u).reshape(24, 24)
    assert float(jacobian.abs().min()) > 0


def test_rows_do_not_see_each_other():
    dit, u, context = redrawn(context=3), images(6), images(6, 3, seed=3)
    torch.testing.assert_close(dit(u, times(6), context)[2:4], dit(u[2:4], times(6)[2:4], context[2:4]))


def test_time_context_and_position_matter():
    dit, u, context = redrawn(context=3), images(4), torch.eye(3, dtype=torch.float64)[[0, 1, 2, 0]]
    base = dit(u, torch.full((4,), 0.3, dtype=torch.float64), context)
    assert float((base - dit(u, torch.full((4,), 0.4, dtype=torch.float64), context)).abs().min()) > 0
    assert not torch.allclose(base, dit(u, torch.full((4,), 0.3, dtype=torch.float64), context.roll(1, 0)))
    halves = torch.cat([u[..., 2:], u[..., :2]], -1)  # whole patches change places
    moved = dit(halves, times(4), context)
    unmoved = dit(u, times(4), context)
    assert not torch.allclose(torch.cat([moved[..., 2:], moved[..., :2]], -1), unmoved)
    dit.positions.zero_()
    moved, unmoved = dit(halves, times(4), context), dit(u, times(4), context)
    torch.testing.assert_close(torch.cat([moved[..., 2:], moved[..., :2]], -1), unmoved)


def test_positions_are_told_apart_and_their_products_depend_on_the_way_between_them():
    at = positions(3, 5, 16).reshape(3, 5, 16)
    assert float(torch.pdist(at.flatten(0, 1)).min()) > 0.5
    torch.testing.assert_close((at[0, 0] * at[1, 3]).sum(), (at[1, 1] * at[2, 4]).sum())
    torch.testing.assert_close(at.square().sum(-1), torch.full((3, 5), 8.0))


def test_a_missing_context_is_a_learned_one_where_it_is_dropped():
    dit, u = redrawn(context=3, context_dropout=0.5), images(4)
    nothing = torch.zeros(4, 3, dtype=torch.float64)
    assert not torch.allclose(dit(u, times(4)), dit(u, times(4), nothing))
    dit.conditions.nothing.zero_()
    torch.testing.assert_close(dit(u, times(4)), dit(u, times(4), nothing))


def test_a_dropped_context_is_the_missing_one_and_only_in_training():
    dit, u, context = redrawn(context=2, context_dropout=0.5), images(40), images(40, 2, seed=3)
    with_it, without = dit(u, times(40), context), dit(u, times(40))
    with seeded(1):
        seen = dit.train()(u, times(40), context)
    told, lost = ((seen - y).abs().amax((1, 2, 3)) < 1e-9 for y in (with_it, without))
    assert bool((told ^ lost).all()) and 8 < int(lost.sum()) < 32
    torch.testing.assert_close(dit.eval()(u, times(40), context), with_it)


def test_gradients_reach_every_parameter():
    dit = network((2, 5, 4), context=3, context_dropout=0.5).double().train()
    redraw(dit)
    with seeded(1):
        dit(images(20, 2, 5, 4), times(20), images(20, 3, seed=3)).square().mean().backward()
    assert [name for name, p in dit.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_every_derivative_exists():
    dit, u = redrawn((1, 3, 4), width=4, layers=1), images(2, 1, 3, 4).requires_grad_()
    t = times(2).requires_grad_()
    assert torch.autograd.gradcheck(dit, (u, t), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(dit, (u, t))


def test_a_score_can_be_trained_through_its_slope():
    dit, u = redrawn().requires_grad_(), images(2).requires_grad_()
    (slope,) = torch.autograd.grad(dit(u, times(2)).square().sum(), u, create_graph=True)
    slope.square().sum().backward()
    weight = dit.blocks[0].project.weight
    assert weight.grad.isfinite().all() and weight.grad.any()


def test_divergences_by_forward_derivatives_are_those_by_backward_ones():
    dit, u = redrawn(), images(2)
    directions = torch.eye(32, dtype=torch.float64).reshape(32, 1, 2, 4, 4).expand(32, *u.shape)
    pushed = torch.func.vmap(lambda v: torch.func.jvp(lambda x: dit(x, times(2)), (u,), (v,))[1])(directions)
    trace = (pushed * directions).flatten(2).sum((0, 2))
    whole = torch.autograd.functional.jacobian(lambda x: dit(x, times(2)).sum(0), u).reshape(32, 2, 32)
    torch.testing.assert_close(trace, torch.einsum("ibi->b", whole))


PAPER = {"S": (384, 12, 6, 33e6), "B": (768, 12, 12, 130e6), "L": (1024, 24, 16, 458e6), "XL": (1152, 28, 16, 675e6)}


@pytest.mark.parametrize("size", PAPER)
def test_its_sizes_are_the_papers(size):
    """Table 1 and appendix A: latents of 4 x 32 x 32 in patches of 2, 1000 classes, noise and variance said."""
    width, layers, heads, wanted = PAPER[size]
    with torch.device("meta"):
        dit = DiT((4, 32, 32), 1000, width, layers, heads, patch=2, context_dropout=0.1, outputs=2)
    found = sum(p.numel() for p in dit.parameters())
    block = 6 * width * (width + 1) + 4 * width * (width + 1) + (8 * width + 5) * width
    ends = (16 + 1) * width + 2 * width * (width + 1) + 32 * (width + 1)
    conditions = width * (width + 1) + 1000 * width + width
    assert found == layers * block + ends + conditions
    assert found == pytest.approx(wanted, rel=0.03)


def test_its_configuration_rebuilds_it():
    dit = network((2, 5, 4), 3, context_dropout=0.1, outputs=2)
    again = from_json(json.loads(json.dumps(to_json(dit))))
    assert type(again) is DiT and again.arguments == dit.arguments and again.shape == (2, 5, 4)
    redraw(dit)
    again.load_state_dict(dit.state_dict())
    u, t = images(2, 2, 5, 4).float(), times(2).float()
    assert torch.equal(again.eval()(u, t), dit.eval()(u, t))


def bars(n, seed=0):
    """8 x 8 images with a bright row or a bright column, and noise of 0.02."""
    rows = Rows(seed, n)
    hot = torch.nn.functional.one_hot((8 * rows.uniform()).long(), 8).float()
    flat = (rows.uniform() < 0.5)[:, None, None]
    x = torch.where(flat, hot[:, :, None].expand(n, 8, 8), hot[:, None, :].expand(n, 8, 8))
    return x + 0.02 * rows.normal(8, 8)


def loss(model):
    """On images it has not seen, at the levels it is trained on."""
    batch = Batch(model._to_model(bars(500, seed=1))[0])
    with torch.no_grad():
        return float(model.default_objective().loss(batch, model, phase=None, generator=Rows(2, 500)).total)


def test_it_learns_bars():
    """The target has variance 1 at every level: the loss of the zero that the network says at first."""
    with seeded(0):
        dit = DiT((8, 8), width=32, layers=2)
    model = fit(EDM(Event((8, 8)), network=dit), bars(1000), steps=200, seed=0, lr=5e-3, progress=False)
    learned = loss(model)
    torch.nn.init.zeros_(model.network.last.weight)
    torch.nn.init.zeros_(model.network.last.bias)
    assert loss(model) == pytest.approx(1.0, abs=0.05)
    assert learned < 0.4


def test_a_density_and_a_learned_variance_run_through_it():
    model = EDM(Event((2, 3, 3)), network=redrawn((2, 3, 3)))
    assert model.double().log_prob(images(2, 2, 3, 3)).isfinite().all()
    ddpm = DDPM(Event((2, 3, 3)), levels=30, learned_variance=True, network=network((2, 3, 3), outputs=2))
    assert ddpm.sample(3, generator=0).shape == (3, 2, 3, 3)


WRONG = [
    (dict(shape=(4,)), r"expected the shape \(C, H, W\) or \(H, W\) of an image, got \(4,\)"),
    (dict(shape=(1, 0, 4)), r"expected the shape"),
    (dict(width=8, heads=3), "multiple of heads=3 and of 4, got 8"),
    (dict(width=6, heads=2), "multiple of heads=2 and of 4, got 6"),
    (dict(heads=0), "heads of at least 1, got 0"),
    (dict(layers=0), "layers of at least 1, got 0"),
    (dict(patch=0), "patch of at least 1, got 0"),
    (dict(outputs=0), "outputs of at least 1, got 0"),
    (dict(context=2, context_dropout=1.0), "context_dropout in"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_sizes_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DiT(**{"shape": (1, 4, 4), **options})


def test_what_does_not_fit_in_a_call_is_named():
    dit, u, t = network(context=3).double(), images(2), times(2)
    with pytest.raises(ValueError, match=r"expected images of shape \(batch, 2, 4, 4\), got \(2, 4, 4, 2\)"):
        dit(u.movedim(1, 3), t)
    for wrong in (t[:1], t[:, None], t[0]):
        with pytest.raises(ValueError, match=r"expected a time for each of 2 rows, t of shape \(2,\), got"):
            dit(u, wrong)
    with pytest.raises(ValueError, match=r"expected a context of shape \(2, 3\), got one of shape \(2, 4\)"):
        dit(u, t, torch.zeros(2, 4))
    with pytest.raises(ValueError, match="expected no context, as context=0, got one"):
        network().double()(u, t, torch.zeros(2, 4))
