"""Every key has a permutation of its own, and a large one takes no memory."""

import pytest
import torch

from fairway.core.random import generator_for
from fairway.data import order as module
from fairway.data.order import Shuffle, permutation


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 1000, 1024, 1025, 40_001])
def test_every_row_comes_once(n):
    order = Shuffle(n, 3, n)
    assert torch.equal(order[torch.arange(n)].sort().values, torch.arange(n))


def test_keys_give_orders_of_their_own_that_stay():
    all_rows = torch.arange(500)
    a, b = Shuffle(500, 1, 2)[all_rows], Shuffle(500, 1, 3)[all_rows]
    assert torch.equal(a, Shuffle(500, 1, 2)[all_rows])
    assert int((a == b).sum()) < 10 and int((a == all_rows).sum()) < 10


def test_an_order_looks_like_chance():
    """Where a row goes says nothing of where it was or of where its neighbour goes (|r| < 4 standard errors)."""
    n = 20_000
    order = Shuffle(n, 5)[torch.arange(n)].double()
    for a, b in [(order, torch.arange(n).double()), (order[1:], order[:-1]), (order[16:], order[:-16])]:
        assert abs(float(torch.corrcoef(torch.stack([a, b]))[0, 1])) < 4 / n**0.5
    first = torch.stack([Shuffle(10, 9, key)[torch.tensor([0, 1])] for key in range(3000)])
    counts = (first[:, 0] * 10 + first[:, 1]).bincount(minlength=100).double()
    expected = 3000 / 90
    assert float(((counts[counts > 0] - expected) ** 2 / expected).sum()) < 89 + 4 * (2 * 89) ** 0.5
    assert int((counts > 0).sum()) == 90


def test_a_slice_is_a_run_of_the_order():
    order = Shuffle(1000, 1)
    whole = order[torch.arange(1000)]
    part = order[100:400]
    assert len(part) == 300
    assert torch.equal(part[torch.arange(300)], whole[100:400])
    assert torch.equal(part[50:][torch.arange(250)], whole[150:400])
    assert len(order[700:]) == 300 and len(order[5:5]) == 0
    with pytest.raises(ValueError, match="step 2"):
        order[::2]


def test_small_orders_are_tensors_and_large_ones_functions(monkeypatch):
    assert torch.equal(permutation(9, 4, 2), torch.randperm(9, generator=generator_for(4, 2)))
    assert isinstance(permutation(10**9, 1), Shuffle)
    rows = permutation(10**9, 1)[torch.arange(5)]
    assert rows.unique().numel() == 5 and int(rows.max()) > 10**6
    monkeypatch.setattr(module, "SMALL", 4)
    assert isinstance(permutation(5, 1), Shuffle)
