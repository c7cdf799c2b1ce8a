"""Paths against geometry, decoding against an affine generator, and the errors."""

import math

import pytest
import torch

from fairway.applications.interpolation import combine, interpolate, linear, slerp
from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.random import Rows, seeded
from fairway.models.classical.gaussian import Gaussian
from fairway.models.gan.generator import Generator


@pytest.fixture
def affine():
    """x = A z + b in data units, as the preprocessing is affine, too."""
    with seeded(0):
        model = Generator(Event((3,)), latent=4, hidden=()).double().eval()
    model.preprocess.fit(1_000 + 50 * Rows(0, 100, dtype=torch.float64).normal(3))
    return model


def latents(n, seed=0, d=4):
    return Rows(seed, n, dtype=torch.float64).normal(d)


# -- paths ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", [linear, slerp])
@pytest.mark.parametrize("shape", [(5,), (2, 3, 3)])
def test_paths_begin_and_end_where_they_were_told_and_read_the_same_backwards(path, shape):
    a, b = Rows(0, 2, dtype=torch.float64).normal(*shape)
    walk = path(a, b, 7)
    assert walk.shape == (7, *shape)
    torch.testing.assert_close(walk[[0, -1]], torch.stack([a, b]))
    torch.testing.assert_close(walk.flip(0), path(b, a, 7))


def test_a_line_strides_evenly():
    a, b = latents(2)
    torch.testing.assert_close(linear(a, b, 5).diff(dim=0), ((b - a) / 4).expand(4, 4))


@pytest.mark.parametrize("angle", [1e-9, 1e-3, 1.0, math.pi / 2, 3.0, math.pi - 1e-4])
def test_a_great_circle_keeps_its_length_and_its_speed(angle):
    """The point at a share t of the way is the one at the angle t w: (cos, sin) in the plane of the two."""
    a = 3 * torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    b = 3 * torch.tensor([math.cos(angle), 0.0, math.sin(angle)], dtype=torch.float64)
    at = torch.linspace(0, angle, 6, dtype=torch.float64)
    wanted = 3 * torch.stack([at.cos(), torch.zeros_like(at), at.sin()], 1)
    torch.testing.assert_close(slerp(a, b, 6), wanted, rtol=1e-9, atol=1e-9)


def test_the_angle_is_that_of_all_entries_of_a_latent():
    a, b = Rows(3, 2, dtype=torch.float64).normal(2, 3)
    torch.testing.assert_close(slerp(a, b, 5).flatten(1), slerp(a.flatten(), b.flatten(), 5))


def test_along_one_direction_lengths_go_in_a_line():
    a = torch.tensor([1.0, 2.0])
    torch.testing.assert_close(slerp(a, 3 * a, 3), torch.stack([a, 2 * a, 3 * a]))


def test_halfway_between_normal_latents_a_circle_is_where_latents_are_and_a_line_is_not():
    """512 entries: lengths near sqrt(512) = 22.6, a line's middle at 16."""
    a, b = latents(2, d=512)
    assert abs(slerp(a, b, 3)[1].norm() / 512**0.5 - 1) < 0.1
    assert abs(linear(a, b, 3)[1].norm() / 256**0.5 - 1) < 0.1


def test_whole_numbers_and_lists_are_walked_in_fractions():
    torch.testing.assert_close(linear([0, 0], [1, 2], 3)[1], torch.tensor([0.5, 1.0]))


@pytest.mark.parametrize("path", [linear, slerp])
def test_ends_that_do_not_fit_are_told(path):
    with pytest.raises(ValueError, match=r"expected z0 and z1 of one shape \(\*Z\), got \(2,\) and \(3,\)"):
        path(torch.ones(2), torch.ones(3), 5)
    for steps in (1, 2.0, True):
        with pytest.raises(ValueError, match="expected steps as an integer of at least 2"):
            path(torch.ones(2), torch.tensor([1.0, 2.0]), steps)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_opposite_latents_have_no_one_path(dtype):
    a = Rows(0, 1, dtype=dtype).normal(64)[0]
    for other in (-a, -2.5 * a):
        with pytest.raises(ValueError, match="not opposite each other"):
            slerp(a, other, 5)
    assert torch.isfinite(linear(a, -a, 5)).all()


def test_a_latent_without_a_direction_is_told():
    for other in (torch.zeros(2), torch.tensor([float("nan"), 1.0]), torch.tensor([float("inf"), 1.0])):
        with pytest.raises(ValueError, match="expected latents of finite lengths above 0"):
            slerp(torch.ones(2), other, 5)


# -- decoded --------------------------------------------------------------------------------------------------------
def test_an_affine_generator_draws_the_path_it_is_given(affine):
    a, b = latents(2)
    torch.testing.assert_close(
        interpolate(affine, a, b, 6, path=linear), linear(*affine.decode(torch.stack([a, b])), 6)
    )
    torch.testing.assert_close(interpolate(affine, a, b, 6), affine.decode(slerp(a, b, 6)))
    torch.testing.assert_close(interpolate(affine, a, b, 6, batch_size=4), interpolate(affine, a, b, 6))


def test_the_context_stays_the_same_all_the_way():
    with seeded(0):
        model = Generator(Event((3,)), Event((), "category", levels=3), latent=4, hidden=(8,)).double().eval()
    a, b = latents(2)
    walk = interpolate(model, a, b, 5, context=2)
    torch.testing.assert_close(walk, model.decode(slerp(a, b, 5), torch.full((5,), 2)))
    one = combine(model, [latents(3)], context=2)
    torch.testing.assert_close(one, model.decode(latents(3).mean(0), 2))


def test_means_of_sets_add_up(affine):
    """An affine map of p + q - r: the offset counts once, as 1 + 1 - 1."""
    first, second, third = latents(3, 1), latents(5, 2), latents(4, 3)
    got = combine(affine, plus=[first, second], minus=[third])
    wanted = affine.decode(first).mean(0) + affine.decode(second).mean(0) - affine.decode(third).mean(0)
    torch.testing.assert_close(got, wanted)
    torch.testing.assert_close(combine(affine, [first]), affine.decode(first.mean(0)))


def test_what_is_wrong_is_told(affine):
    z = latents(2)
    for asked in (
        lambda: interpolate(Gaussian(Event((2,))), z[0], z[1], 3),
        lambda: combine(Gaussian(Event((2,))), [z]),
    ):
        with pytest.raises(CapabilityError, match="needs a model that answers 'decode'"):
            asked()
    with pytest.raises(ValueError, match=r"expected z1 of shape \(4\), the model's latents, got \(3,\)"):
        interpolate(affine, z[0], z[1, :3], 3)
    with pytest.raises(ValueError, match=r"expected plus\[0\] of shape \(n, 4\), the model's latents, got \(4,\)"):
        combine(affine, [z[0]])
    with pytest.raises(ValueError, match=r"expected minus\[1\] with at least one row .* got an empty array \(0, 4\)"):
        combine(affine, [z], [z, z[:0]])
    with pytest.raises(ValueError, match="expected at least one set of latents"):
        combine(affine, [])


def test_codes_have_nothing_between_them(affine, monkeypatch):
    monkeypatch.setattr(Generator, "latent_event", Event((4,), "category", levels=5))
    for asked in (lambda: interpolate(affine, [0] * 4, [1] * 4, 3), lambda: combine(affine, [[[0] * 4]])):
        with pytest.raises(CapabilityError, match="needs latents with something between them"):
            asked()
