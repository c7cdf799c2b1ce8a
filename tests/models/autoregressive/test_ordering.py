"""Orderings: a permutation and its inverse, by name or by hand."""

import pytest
import torch

from fairway.models.autoregressive.ordering import NAMES, Ordering


@pytest.mark.parametrize("name", NAMES)
def test_rank_is_the_inverse_of_order(name):
    ordering = Ordering.of(name, 7)
    assert sorted(ordering.order) == list(range(7)) and len(ordering) == 7
    assert all(ordering.rank[variable] == t for t, variable in enumerate(ordering.order))


def test_names():
    assert Ordering.of("natural", 3).order == (0, 1, 2) and Ordering.of("reversed", 3).order == (2, 1, 0)
    assert Ordering.of("random", 20).order not in (tuple(range(20)), tuple(range(20)[::-1]))
    assert Ordering.named("random", 20, seed=1).order != Ordering.named("random", 20, seed=2).order


def test_random_repeats_and_leaves_the_global_generator_alone():
    state = torch.get_rng_state()
    assert Ordering.of("random", 9).order == Ordering.of("random", 9).order
    assert torch.equal(torch.get_rng_state(), state)


def test_before_is_strict_and_total():
    before = Ordering([2, 0, 1]).before()
    assert before.tolist() == [[False, False, True], [True, False, True], [False, False, False]]
    assert torch.equal(Ordering.of("natural", 4).before(), torch.ones(4, 4).tril(-1).bool())
    for i, j in [(i, j) for i in range(3) for j in range(3) if i != j]:
        assert before[i, j] != before[j, i]


def test_a_permutation_or_an_ordering_passes_through():
    ordering = Ordering([1, 0, 2])
    assert Ordering.of(ordering, 3) is ordering and Ordering.of((1, 0, 2), 3).order == (1, 0, 2)
    assert repr(ordering) == "Ordering([1, 0, 2])"


def test_orderings_of_many_variables_are_quick():
    assert Ordering.of("reversed", 50_000).rank[0] == 49_999


@pytest.mark.parametrize(
    ("ordering", "message"),
    [
        ("diagonal", "expected an ordering among natural, reversed, random or a permutation, got 'diagonal'"),
        ([0, 0, 1], r"expected a permutation of 0, \.\.\., 2, got \[0, 0, 1\]"),
        ([0, 1], "expected an ordering of 3 variables, got one of 2"),
    ],
)
def test_refusals(ordering, message):
    with pytest.raises(ValueError, match=message):
        Ordering.of(ordering, 3)
