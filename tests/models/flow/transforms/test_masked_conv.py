"""Masked maps: triangular in the entries, with the diagonal that they say."""

import pytest
import torch

from fairway.core.random import seeded
from fairway.models.flow.transforms.masked_conv import MaskedMap

SIZES = {False: (), True: (3, 4)}


def built(image, inputs=2, outputs=3, channels=3):
    with seeded(0):
        return MaskedMap(channels, image, inputs, outputs).double()


def matrix(module, kernel, image):
    """(outputs, inputs, entry, entry): what every entry sees, ordered by position, then channel."""
    inputs, channels = module.raw_diagonal.shape[1:]
    size = (inputs * channels, *SIZES[image])
    count = torch.Size(size).numel()
    basis = torch.eye(count, dtype=torch.float64).reshape(count, *size)
    columns = module.through(basis, kernel.detach())

    def by_entry(x):  # (n, copies C, *size) -> (n, copies, entries)
        return x.unflatten(1, (-1, channels)).flatten(3).movedim(2, -1).flatten(2) if image else x.unflatten(1, (-1, 3))

    rows = by_entry(columns)  # (count, outputs, entries)
    order = by_entry(torch.arange(count).reshape(1, *size))[0]
    return rows[order].permute(2, 0, 3, 1)


@pytest.mark.parametrize("image", [False, True])
def test_every_copy_is_triangular_and_its_diagonal_is_positive(image):
    module = built(image)
    blocks = matrix(module, module.kernel, image)
    entries = blocks.shape[-1]
    assert float(blocks.triu(1).abs().max()) == 0
    diagonal = module.diagonal.detach().repeat(1, 1, entries // 3)
    torch.testing.assert_close(blocks.diagonal(dim1=-2, dim2=-1), diagonal)
    assert float(diagonal.min()) > 0


@pytest.mark.parametrize("image", [False, True])
def test_without_the_diagonal_it_is_strictly_triangular(image):
    module = built(image)
    whole, before = (matrix(module, k, image) for k in (module.kernel, module.before))
    assert float(before.triu(0).abs().max()) == 0
    torch.testing.assert_close(before, whole.tril(-1))


def test_all_that_comes_before_within_the_kernel_is_seen():
    blocks = matrix(built(True), built(True).kernel, True)
    last = blocks[0, 0, -3:]  # the last pixel's channels
    seen = (last != 0).reshape(3, 12, 3).any(2)
    assert seen.any(0).nonzero().flatten().tolist() == [6, 7, 10, 11]
