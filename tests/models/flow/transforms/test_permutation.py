"""Permutations only reorder; the checkerboard's halves are its two colours."""

import pytest
import torch

from fairway.models.flow.transforms.permutation import Permutation, checkerboard


def test_it_reorders_and_comes_back():
    link = Permutation(torch.tensor([2, 0, 1]))
    u = torch.tensor([[10.0, 11.0, 12.0]])
    z, ladj = link.to_latent(u)
    assert z.tolist() == [[12.0, 10.0, 11.0]] and ladj.tolist() == [0.0]
    assert torch.equal(link.to_data(z)[0], u)
    assert link.to_data(z)[1].shape == (1,)


def test_its_matrix_has_determinant_plus_or_minus_one():
    link = Permutation(torch.randperm(7, generator=torch.Generator().manual_seed(0)))
    matrix = torch.autograd.functional.jacobian(lambda r: link.to_latent(r.unsqueeze(0))[0][0], torch.zeros(7))
    assert float(torch.linalg.det(matrix).abs()) == pytest.approx(1.0)


@pytest.mark.parametrize("shape", [(6,), (7,), (3, 4), (3, 3), (2, 3, 4)])
def test_the_first_half_is_one_colour(shape):
    order = checkerboard(shape)
    assert torch.equal(order.sort().values, torch.arange(order.numel()))
    colour = sum(torch.meshgrid(*[torch.arange(s) for s in shape], indexing="ij")).flatten() % 2
    black = int((colour == 0).sum())
    assert set(colour[order[:black]].tolist()) == {0} and set(colour[order[black:]].tolist()) == {1}
    assert abs(black - order.numel() / 2) <= 0.5


def test_neighbours_have_other_colours():
    order = checkerboard((4, 4))
    side = torch.empty(16, dtype=torch.long)
    side[order[:8]], side[order[8:]] = 0, 1
    side = side.reshape(4, 4)
    assert bool((side[1:] != side[:-1]).all()) and bool((side[:, 1:] != side[:, :-1]).all())


def test_the_order_is_a_buffer_that_is_saved():
    assert set(Permutation(torch.arange(3)).state_dict()) == {"order", "inverse"}
