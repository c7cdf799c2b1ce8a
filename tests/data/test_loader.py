"""Pieces by position: the same ones whoever reads them, and nothing is read before the first."""

import itertools

import pytest
import torch

from fairway.data.loader import Loader


def counted(k):
    return ((i, i) for i in itertools.count(k))


def square(i):
    if i == 13:
        raise ValueError("expected luck in 13.parquet")
    return torch.tensor([i, i * i])


@pytest.mark.parametrize("workers", [0, 2])
def test_pieces_come_by_position_wherever_one_starts(workers):
    load = Loader(square, counted, workers)
    for position in (0, 1, 2, 7, 8, 3, 3, 4):
        assert load(position).tolist() == [position, position**2]


@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_wrong_is_said_in_its_own_words(workers):
    load = Loader(square, counted, workers)
    load(12)
    with pytest.raises(ValueError, match=r"^expected luck in 13\.parquet$"):
        load(13)
    assert load(14).tolist() == [14, 196], "it goes on elsewhere"


def test_nothing_is_read_before_the_start():
    seen = []
    load = Loader(lambda i: seen.append(i), counted)
    load(1000)
    load(1001)
    assert seen == [1000, 1001]


def test_the_global_generator_stays_where_it_is():
    before = torch.get_rng_state()
    Loader(square, counted)(0)
    assert torch.equal(torch.get_rng_state(), before)


def test_without_torchdata_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchdata.stateful_dataloader", None)
    with pytest.raises(ImportError, match=r"pip install 'fairway\[streams\]'"):
        Loader(square, counted)
