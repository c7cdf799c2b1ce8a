"""Swaps: their chances, round trips counted by hand, even temperatures, and log Z from pairs of temperatures."""

import math

import pytest
import torch

from fairway.samplers.swaps import RoundTrips, evenly, exchange, stepping_stones, swap_chance

BETAS = torch.tensor([0.0, 0.1, 0.4, 1.0], dtype=torch.float64)
MEAN, PRECISION = 3.0, 4.0  # of the target, N(3, 1/4)


def test_round_trips_of_a_sequence_made_by_hand():
    """Three temperatures; only the replica that begins at 0 goes up, up, down, down; then half a way more."""
    low, high, none = ([True], [False]), ([False], [True]), ([False], [False])
    trips, counts = RoundTrips(3, 1), []
    for pair in (low, high, none, high, low, low, high):
        trips.update(exchange(torch.tensor(pair)))
        counts.append(trips.count)
    assert counts == [0, 0, 0, 0, 1, 1, 1]


def test_coming_down_from_a_start_at_the_top_is_no_round_trip():
    trips = RoundTrips(2, 3)
    trips.update(exchange(torch.tensor([[True, True, False]])))
    assert trips.count == 0
    trips.update(exchange(torch.tensor([[True, False, False]])))
    assert trips.count == 1


def test_swaps_are_certain_where_the_hot_one_fits_better():
    chance = swap_chance(BETAS[:2], torch.tensor([[5.0, 0.0, -math.inf], [0.0, 5.0, 0.0]], dtype=torch.float64))
    torch.testing.assert_close(chance, torch.tensor([[1.0, math.exp(-0.5), 0.0]], dtype=torch.float64))


def test_temperatures_move_to_where_swaps_are_refused():
    betas = torch.linspace(0, 1, 5, dtype=torch.float64)
    assert evenly(betas, torch.full((4,), 0.3)) == pytest.approx(betas.tolist())
    crowded = evenly(betas, torch.tensor([0.0, 0.9, 0.9, 0.9]))
    assert sum(beta < 0.25 for beta in crowded) == 4 and crowded[0] == 0 and crowded[-1] == 1


def test_stepping_stones_of_normals():
    precision = (1 + BETAS * (PRECISION - 1)).reshape(-1, 1, 1)
    mean, std = BETAS.reshape(-1, 1, 1) * PRECISION * MEAN / precision, precision.rsqrt()
    u = (mean + std * torch.randn(4, 500 * 20, 1, dtype=torch.float64)).reshape(4, 500, 20)
    log_q = -0.5 * u.square() - 0.5 * math.log(2 * math.pi)
    f = (-0.5 * PRECISION * (u - MEAN).square() - log_q).transpose(0, 1)
    log_Z, error = stepping_stones(BETAS, f)
    assert abs(log_Z - 0.5 * math.log(2 * math.pi / PRECISION)) < 4 * error < 0.2
