"""Noise drawn before a step is the noise that the step would have drawn."""

import pytest
import torch

from fairway.core.random import Rows
from fairway.training.noise_ahead import Draws, Played, Untraceable


def draw(rows):
    """Streams that go on, streams of streams, and a stream opened twice."""
    child = rows.spawn(3)
    found = [rows.normal(2), child.uniform(), child.spawn(1, 2).integers(5, 3), rows.uniform(4), child.normal(1)]
    return [*found, rows.spawn(3).uniform(), rows.spawn(7).ahead("normal", 3, 2)]


@pytest.mark.parametrize("n, start", [(10, 0), (70, 30)])
def test_noise_ahead_is_the_noise_of_the_step_for_any_seed(n, start):
    draws = Draws.of(draw, Rows(0, n, start))
    for seed in (0, 5):
        rows = Rows(seed, n, start, torch.float64)
        ahead = draws.ahead(Rows(seed, n, start, torch.float64))
        played = draw(Played(rows, ahead))
        for ours, theirs in zip(played, draw(rows), strict=True):
            assert torch.equal(ours, theirs) and ours.dtype == theirs.dtype


def test_noting_draws_leaves_the_rows_as_they_were():
    rows = Rows(1, 8)
    Draws.of(draw, rows)
    assert all(torch.equal(a, b) for a, b in zip(draw(rows), draw(Rows(1, 8)), strict=True))


def test_played_rows_stand_where_the_rows_stand():
    rows = Rows(0, 4, 8, shared_by=3)
    played = Played(rows, []).spawn(1)
    assert (played.n, played.start, played.batch) == (4, 8, 12)


def test_a_generator_cannot_be_drawn_ahead():
    with pytest.raises(Untraceable, match="generator that rows share"):
        Draws.of(lambda rows: rows.shared(1), Rows(0, 4))
    with pytest.raises(Untraceable):
        Played(Rows(0, 4), []).shared()
