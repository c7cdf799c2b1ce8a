"""Each toy law has the geometry that its docstring states."""

import math

import pytest
import torch

from fairway.data import toy

LAWS = {
    toy.moons: 2,
    toy.circles: 2,
    toy.ring: 8,
    toy.grid: 25,
    toy.checkerboard: 0,
    toy.pinwheel: 5,
    toy.swiss_roll: 0,
    toy.spirals: 2,
}
laws = pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)


@laws
def test_shape_labels_and_name(law):
    data = law(500)
    assert data.x.shape == (500, 2) and data.x.dtype == torch.float32 and data.event.kind == "real"
    assert data.name == law.__name__ and data.protocol == "real"
    classes = 0 if data.labels is None else len(data.labels.unique())
    assert classes == LAWS[law]


@laws
def test_seed_decides_and_the_global_state_is_left_alone(law):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first, second, other = law(100, seed=1), law(100, seed=1), law(100, seed=2)
    assert torch.rand(1) == expected
    assert first.digest == second.digest != other.digest


@laws
def test_no_rows_are_refused(law):
    with pytest.raises(ValueError, match="n >= 1"):
        law(0)


def test_moons_lie_on_half_circles():
    data = toy.moons(2000, noise=0.0)
    upper, lower = data.x[data.labels == 0], data.x[data.labels == 1]
    assert torch.allclose(upper.norm(dim=1), torch.ones(len(upper)), atol=1e-5) and upper[:, 1].min() >= -1e-6
    assert torch.allclose((lower - torch.tensor([1, 0.5])).norm(dim=1), torch.ones(len(lower)), atol=1e-5)
    assert lower[:, 1].max() <= 0.5 + 1e-6


def test_circles_have_their_radii():
    data = toy.circles(2000, noise=0.0)
    assert torch.allclose(data.x.norm(dim=1), 1 - 0.5 * data.labels, atol=1e-5)


@pytest.mark.parametrize(
    "law, centres, noise", [(toy.ring, toy.ring_centres(), 0.02), (toy.grid, toy.grid_centres(), 0.05)]
)
def test_gaussians_stand_at_their_centres(law, centres, noise):
    data = law(20_000)
    rest = data.x - centres[data.labels]
    assert abs(rest.std() - noise) < 0.02 * noise
    counts = torch.bincount(data.labels) / len(data)
    assert (counts - 1 / len(centres)).abs().max() < 0.01


def test_ring_radius_and_grid_spacing():
    assert torch.allclose(toy.ring_centres().norm(dim=1), torch.full((8,), 2.0))
    assert toy.grid_centres().unique().tolist() == [-4, -2, 0, 2, 4] and len(toy.grid_centres().unique(dim=0)) == 25


def test_checkerboard_is_uniform_on_black_squares():
    x = toy.checkerboard(20_000).x
    square = ((x + 4) / 2).floor().long()
    assert x.min() >= -4 and x.max() <= 4 and (square.sum(1) % 2 == 0).all()
    shares = torch.bincount(square[:, 0] * 4 + square[:, 1], minlength=16) / len(x)
    assert ((shares > 0).sum() == 8) and (shares[shares > 0] - 1 / 8).abs().max() < 0.01


def test_pinwheel_has_five_fold_symmetry():
    data = toy.pinwheel(50_000)
    means = torch.stack([data.x[data.labels == k].mean(0) for k in range(5)])
    turn = torch.tensor(2 * math.pi / 5)
    rotation = torch.stack([torch.stack([turn.cos(), -turn.sin()]), torch.stack([turn.sin(), turn.cos()])])
    assert torch.allclose(means[:-1] @ rotation.T, means[1:], atol=0.03)
    assert 1.7 < means.norm(dim=1).mean() < 2


def test_rolls_have_angle_proportional_to_radius():
    roll, spiral = toy.swiss_roll(2000, noise=0.0), toy.spirals(2000, noise=0.0)
    angle = 5 * roll.x.norm(dim=1)
    assert torch.allclose(roll.x, torch.stack([angle.cos(), angle.sin()], 1) * angle[:, None] / 5, atol=1e-4)
    assert 1.5 * math.pi - 1e-4 <= angle.min() and angle.max() <= 4.5 * math.pi + 1e-4
    angle = 3 * spiral.x.norm(dim=1) + math.pi * spiral.labels
    assert torch.allclose(
        spiral.x, torch.stack([angle.cos(), angle.sin()], 1) * spiral.x.norm(dim=1)[:, None], atol=1e-4
    )
