"""Shapes, where noise and details pass, and that no image sees its neighbours."""

import pytest
import torch

from fairway.core.config import from_json, to_json
from fairway.core.random import Rows, seeded
from fairway.networks.translation import ResidualTranslator, SkipNet

GENERATORS = {
    "skip net": lambda **options: SkipNet(2, 3, **{"hidden": (4, 6, 8), **options}),
    "residual": lambda **options: ResidualTranslator(2, 3, **{"hidden": (4, 6, 8), "blocks": 1, **options}),
}


def build(make):
    with seeded(0):
        return make().double()


def images(*shape, seed=0):
    return Rows(seed, shape[0], dtype=torch.float64).normal(*shape[1:])


@pytest.fixture(params=list(GENERATORS))
def generator(request):
    return GENERATORS[request.param]


def test_an_image_of_the_same_sides_and_other_channels(generator):
    net, u = build(generator), images(3, 2, 8, 16)
    assert net(u).shape == (3, 3, 8, 16) and net(u).abs().max() < 1
    assert build(lambda: generator(squash=False))(100 * u).abs().max() > 1
    grey = build(lambda: type(net)(1, 1, hidden=(4,)))
    torch.testing.assert_close(grey(u[:, 0]), grey(u[:, :1]))


def test_no_image_sees_its_neighbours(generator):
    net, u = build(generator), images(4, 2, 8, 8)
    torch.testing.assert_close(net(u)[1:2], net(u[1:2]))


def test_noise_moves_every_pixel_and_must_be_given(generator):
    net, u = build(lambda: generator(latent=5)), images(1, 2, 16, 16).expand(2, -1, -1, -1)
    one, other = net(u, images(2, 5))
    assert (one != other).all()
    assert (one - other).std() > 1e-3  # no norm takes it out again
    with pytest.raises(ValueError, match=r"expected a context of shape \(batch, 5\), got none"):
        net(u)


def test_details_pass_by_the_smallest_picture():
    """A pixel moved within its 2 x 2 block is lost to a net that halves without skips; here it moves the output."""
    net = build(lambda: SkipNet(1, 1, hidden=(4, 4, 4)))
    with torch.no_grad():  # cut the way through the smallest picture
        net.grow[0].weight.zero_()
    one, other = torch.zeros(2, 1, 1, 8, 8, dtype=torch.float64)
    one[0, 0, 2, 2] = other[0, 0, 3, 3] = 1
    assert (net(one) - net(other)).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("make", "sides", "says"),
    [
        (GENERATORS["skip net"], (8, 12), "3 halvings leave whole: multiples of 8, 8 pixels or more; got 8 x 12"),
        (GENERATORS["residual"], (8, 10), "2 halvings leave whole: multiples of 4, 8 pixels or more; got 8 x 10"),
        (GENERATORS["residual"], (4, 8), "2 halvings leave whole: multiples of 4, 8 pixels or more; got 4 x 8"),
    ],
)
def test_sides_that_it_cannot_make(make, sides, says):
    with pytest.raises(ValueError, match=says):
        build(make)(images(1, 2, *sides))


def test_smallest_sides_of_all():
    assert build(lambda: SkipNet(1, 1, hidden=(4, 4)))(images(2, 1, 4, 4)).isfinite().all()
    assert build(lambda: ResidualTranslator(1, 1, hidden=(4, 4)))(images(2, 1, 4, 4)).isfinite().all()


def test_errors_say_what_was_expected(generator):
    with pytest.raises(ValueError, match="expected channels of one size or more in hidden, got none"):
        generator(hidden=())
    with pytest.raises(ValueError, match=r"expected images \(batch, 2, height, width\), got \(1, 3, 8, 8\)"):
        build(generator)(images(1, 3, 8, 8))


def test_a_configuration_rebuilds_it(generator):
    net = generator(latent=2)
    again = from_json(to_json(net))
    assert type(again) is type(net)
    assert [p.shape for p in again.parameters()] == [p.shape for p in net.parameters()]
