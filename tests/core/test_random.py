"""Noise in seeded blocks: a function of (seed, row), whatever the batch; the global generator is never touched."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fairway.core.random import Rows, generator_for, mix, seed_of, seeded

LAWS = {
    "normal": lambda rows: rows.normal(3),
    "uniform": lambda rows: rows.uniform(2, 2),
    "scalar": lambda rows: rows.uniform(),
    "integers": lambda rows: rows.integers(5, 2),
    "second draw": lambda rows: (rows.normal(2), rows.normal(3))[1],
    "spawned": lambda rows: rows.spawn(4, 2).normal(3),
}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
@given(seed=st.integers(-(2**62), 2**62), start=st.integers(0, 300), n=st.integers(1, 150), more=st.integers(0, 90))
def test_rows_do_not_care_how_they_are_batched(law, seed, start, n, more):
    whole = law(Rows(seed, start + n + more))
    assert torch.equal(law(Rows(seed, n, start)), whole[start : start + n])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("law", ["normal", "uniform"])
@given(
    seed=st.integers(-(2**62), 2**62),
    start=st.integers(0, 200),
    n=st.integers(1, 150),
    shape=st.sampled_from([(), (1,), (3,), (7, 5)]),
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=4),
)
def test_noise_ahead_is_noise_call_by_call(law, dtype, seed, start, n, shape, counts):
    """Whatever mixture of calls for one and calls for many."""
    singly, ahead = Rows(seed, n, start, dtype), Rows(seed, n, start, dtype)
    for count in counts:
        many = ahead.ahead(law, count, *shape)
        assert many.shape == (count, n, *shape) and many.dtype == dtype
        assert torch.equal(many, torch.stack([getattr(singly, law)(*shape) for _ in range(count)]))
    assert torch.equal(getattr(ahead, law)(*shape), getattr(singly, law)(*shape))


@given(st.lists(st.integers(-(2**63), 2**63), min_size=1, max_size=4))
def test_a_hash_is_a_seed_and_depends_on_every_number(numbers):
    assert 0 <= mix(*numbers) < 2**63
    for i in range(len(numbers)):
        changed = [*numbers[:i], numbers[i] + 1, *numbers[i + 1 :]]
        assert mix(*changed) != mix(*numbers)
    assert mix(*numbers, 0) != mix(*numbers)


def test_seeds_blocks_and_spawned_streams_are_unrelated():
    streams = [Rows(0, 640), Rows(1, 640), Rows(0, 640, start=640), Rows(0, 640).spawn(0), Rows(0, 640).spawn(1)]
    table = torch.stack([rows.normal(8).flatten() for rows in streams])
    correlations = torch.corrcoef(table) - torch.eye(len(streams))
    assert correlations.abs().max() < 4.5 / table.shape[1] ** 0.5


def test_moments():
    rows = Rows(3, 6400, dtype=torch.float64)
    z, v, k = rows.normal(4), rows.uniform(4), rows.integers(7, 4)
    assert abs(z.mean()) < 0.03 and abs(z.var() - 1) < 0.05 and z.dtype == torch.float64
    assert abs(v.mean() - 0.5) < 0.01 and v.min() >= 0 and v.max() < 1
    assert torch.bincount(k.flatten(), minlength=7).float().std() / k.numel() < 0.004 and k.max() == 6


def test_nothing_touches_the_global_generator():
    before = torch.get_rng_state()
    Rows(0, 100).normal(2)
    Rows(0, 100).shared(3)
    with seeded(7):
        first = torch.rand(2)
    assert torch.equal(torch.get_rng_state(), before)
    with seeded(7):
        assert torch.equal(torch.rand(2), first)


def test_seed_of():
    generator = torch.Generator().manual_seed(5)
    assert seed_of(12) == 12 and seed_of(None) != seed_of(None)
    assert seed_of(generator) != seed_of(generator)  # a generator advances
    assert seed_of(generator_for(1)) == seed_of(generator_for(1))
    for bad in (True, 1.0, "0"):
        with pytest.raises(TypeError, match=r"expected generator as a torch\.Generator, an int seed or None"):
            seed_of(bad)
