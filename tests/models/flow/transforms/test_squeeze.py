"""Squeezing is a reordering: blocks of pixels become channels and come back."""

import pytest
import torch

from fairway.models.flow.transforms.squeeze import Channels, Rows, Squeeze, squares


def images(*shape):
    return torch.arange(float(torch.Size(shape).numel())).reshape(shape)


@pytest.mark.parametrize("shape", [(2, 1, 2, 2), (3, 3, 4, 6), (1, 2, 8, 2)])
def test_every_entry_comes_back(shape):
    u = images(*shape)
    z, ladj = Squeeze().to_latent(u)
    assert z.shape == (shape[0], 4 * shape[1], shape[2] // 2, shape[3] // 2)
    assert torch.equal(z.flatten().sort().values, u.flatten()) and ladj.shape == (shape[0],) and not ladj.any()
    back, ladj = Squeeze().to_data(z)
    assert torch.equal(back, u) and not ladj.any()
    assert torch.equal(Squeeze().to_latent(Squeeze().to_data(z)[0])[0], z)


def test_groups_of_channels_are_the_corners_of_a_block():
    u = images(1, 3, 4, 6)
    z, _ = Squeeze().to_latent(u)
    for group, (down, right) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        assert torch.equal(z[:, 3 * group : 3 * group + 3], u[:, :, down::2, right::2])


@pytest.mark.parametrize("channels", [1, 3])
def test_the_first_half_of_the_squares_is_a_checkerboard(channels):
    marked = torch.zeros(1, 4 * channels, 2, 3)
    marked[:, squares(channels)[: 2 * channels]] = 1
    board, _ = Squeeze().to_data(marked)
    rows, columns = torch.meshgrid(torch.arange(4), torch.arange(6), indexing="ij")
    assert torch.equal(board[0], ((rows + columns) % 2 == 0).float().expand(channels, 4, 6))
    assert sorted(squares(channels).tolist()) == list(range(4 * channels))


@pytest.mark.parametrize("shape", [(2, 1, 3, 4), (2, 1, 4, 5), (2, 4, 4)])
def test_odd_sizes_are_named(shape):
    with pytest.raises(ValueError, match=r"expected images .* of even height and width to squeeze"):
        Squeeze().to_latent(torch.zeros(shape))


def test_what_was_not_squeezed_is_named():
    with pytest.raises(ValueError, match="to undo a squeeze, got"):
        Squeeze().to_data(torch.zeros(2, 6, 2, 2))


def test_rows_flatten_and_come_back():
    u = images(2, 4, 3, 5)
    z, ladj = Rows((4, 3, 5)).to_latent(u)
    assert z.shape == (2, 60) and not ladj.any()
    assert torch.equal(Rows((4, 3, 5)).to_data(z)[0], u)


def test_channels_change_places_and_come_back():
    u = images(2, 3, 2, 2)
    z, ladj = Channels(torch.tensor([2, 0, 1])).to_latent(u)
    assert torch.equal(z[:, 0], u[:, 2]) and torch.equal(z[:, 1], u[:, 0]) and not ladj.any()
    assert torch.equal(Channels(torch.tensor([2, 0, 1])).to_data(z)[0], u)
