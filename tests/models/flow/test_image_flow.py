"""RealNVP's map of images: exact both ways over levels, checkerboards first, every size named that cannot be halved."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import seeded
from fairway.models.flow.image_flow import checked_levels, image_shape, largest_levels, real_nvp_images
from fairway.models.flow.transforms.image_coupling import ImageCoupling
from fairway.testing.latents import log_abs_det
from fairway.testing.subject import redraw


def flow(shape=(1, 4, 4), levels=2, transforms=3, context=0):
    with seeded(0):
        transform = real_nvp_images(shape, levels, transforms, (4,), context).double()
    redraw(transform)
    return transform.eval().requires_grad_(False)


def images(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("shape", "levels"), [((1, 4, 4), 2), ((3, 2, 4), 1), ((2, 8, 8), 3)])
@pytest.mark.parametrize("context", [0, 2])
def test_exact_both_ways(shape, levels, context):
    transform, u = flow(shape, levels, context=context), images(4, *shape)
    c = images(4, context, seed=1) if context else None
    z, ladj = transform.to_latent(u, c)
    assert z.shape == (4, u[0].numel())
    back, ladj_back = transform.to_data(z, c)
    torch.testing.assert_close(back, u, atol=1e-9, rtol=0)
    torch.testing.assert_close(ladj_back, -ladj)
    slogdet = log_abs_det(lambda v: transform.to_latent(v, None if c is None else c[:2])[0], u[:2])
    torch.testing.assert_close(ladj[:2], slogdet, atol=1e-8, rtol=0)


def test_it_starts_as_a_reordering():
    with seeded(0):
        transform = real_nvp_images((1, 4, 4), 2, 4, (4,))
    u = images(2, 1, 4, 4).float()
    z, ladj = transform.to_latent(u)
    assert not ladj.any() and torch.equal(z.sort(1).values, u.flatten(1).sort(1).values)


def test_the_first_coupling_moves_one_colour_of_the_checkerboard():
    u = images(1, 1, 4, 4)
    links = list(flow().steps.links)
    first = next(i for i, link in enumerate(links) if isinstance(link, ImageCoupling))
    h = u
    for link in links[: first + 1]:
        h, _ = link.to_latent(h)
    for link in reversed(links[:first]):
        h, _ = link.to_data(h)
    rows, columns = torch.meshgrid(torch.arange(4), torch.arange(4), indexing="ij")
    assert torch.equal((h != u)[0, 0], (rows + columns) % 2 == 1)


def test_every_pixel_depends_on_others_and_is_moved():
    transform = flow(transforms=4)
    jacobian = torch.autograd.functional.jacobian(lambda v: transform.to_latent(v)[0].sum(0), images(1, 1, 4, 4))
    jacobian = jacobian.reshape(16, 16)
    assert int((jacobian != 0).sum(0).min()) > 4
    assert float((jacobian.abs().sum(1) - 1).abs().min()) > 1e-6


def test_nothing_overflows_at_large_parameters_and_inputs():
    transform = flow((1, 8, 8), 2, 4).float()
    redraw(transform, spread=100.0)
    u = 1e4 * images(4, 1, 8, 8).float()
    for direction, x in ((transform.to_latent, u), (transform.to_data, u.flatten(1))):
        y, ladj = direction(x)
        assert y.isfinite().all() and ladj.isfinite().all()


@pytest.mark.parametrize(
    ("shape", "levels"), [((28, 28), 2), ((3, 32, 32), 5), ((1, 2, 3), 0), ((7, 7), 0), ((4, 6), 1), ((12,), 0)]
)
def test_levels_that_an_event_allows(shape, levels):
    event = Event(shape)
    assert largest_levels(event) == levels and checked_levels(event) == min(levels, 2)
    with pytest.raises(ValueError, match=rf"got levels={levels + 1} for Event.* divisible by {2 ** (levels + 1)}"):
        checked_levels(event, levels + 1)
    assert checked_levels(event, levels) == levels


@pytest.mark.parametrize(("shape", "expected"), [((4,), None), ((4, 6), (1, 4, 6)), ((3, 4, 6), (3, 4, 6)), ((), None)])
def test_shapes_of_images(shape, expected):
    assert image_shape(Event(shape)) == expected


@pytest.mark.parametrize("levels", [-1, 1.5, "two"])
def test_levels_that_are_no_number_of_levels(levels):
    with pytest.raises(ValueError, match="expected levels that the event can be squeezed"):
        checked_levels(Event((4, 4)), levels)
