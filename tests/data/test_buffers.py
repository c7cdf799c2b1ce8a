"""Every row once per epoch, in an order that the seed and the epoch decide; nothing is read that is not needed."""

from itertools import pairwise

import pytest
import torch

from fairway.data import buffers as module
from fairway.data.buffers import Buffers

SIZES = [7, 0, 20, 3, 11, 9]
N = sum(SIZES)
STARTS = [0, 7, 7, 27, 30, 41]


@pytest.fixture(autouse=True)
def small_buffers(monkeypatch):
    monkeypatch.setattr(module, "BUFFER", 12)


def numbered(read=None):
    """Rows that are their own numbers, and their parity as labels."""

    def rows(g):
        if read is not None:
            read.append(g)
        x = torch.arange(STARTS[g], STARTS[g] + SIZES[g])
        return x[:, None], x % 2

    return rows


def flat(lists):
    return [row for rows in lists for row in rows]


def drawn(batches, ks):
    return [batches(k)[0][:, 0].tolist() for k in ks]


def test_every_row_comes_once_per_epoch_in_a_new_order():
    x = flat(drawn(Buffers(numbered(), SIZES, seed=0, size=5), range(N)))  # 5 epochs
    epochs = [x[i * N : (i + 1) * N] for i in range(5)]
    assert all(sorted(epoch) == list(range(N)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 5
    other = flat(drawn(Buffers(numbered(), SIZES, seed=1, size=5), range(10)))
    assert other != epochs[0]


def test_labels_go_with_their_rows():
    x, labels = Buffers(numbered(), SIZES, seed=0, size=40)(2)
    assert torch.equal(x[:, 0] % 2, labels)


@pytest.mark.parametrize("workers", [0, 2])
def test_batch_k_is_the_same_wherever_one_starts(workers):
    whole = drawn(Buffers(numbered(), SIZES, seed=2, size=6), range(30))
    batches = Buffers(numbered(), SIZES, seed=2, size=6, workers=workers)
    order = [17, 18, 19, 20, 3, 4, 29, 0]
    assert drawn(batches, order) == [whole[k] for k in order]


def test_processes_share_the_batches_of_one():
    whole = drawn(Buffers(numbered(), SIZES, seed=2, size=12), range(9))
    parts = [Buffers(numbered(), SIZES, seed=2, size=4, share=(rank, 3)) for rank in range(3)]
    assert [flat(step) for step in zip(*(drawn(part, range(9)) for part in parts), strict=True)] == whole


def test_rows_are_shuffled_beyond_their_group():
    x = drawn(Buffers(numbered(), SIZES, seed=0, size=N), [0])[0]
    assert sum(abs(a - b) == 1 for a, b in pairwise(x)) < N / 4


def test_a_late_start_reads_only_what_it_needs():
    read = []
    batches = Buffers(numbered(read), SIZES, seed=0, size=2)
    batches(N // 2 * 10 + N // 2 - 2)  # within the last buffer of an epoch
    assert 1 <= len(read) <= 3
