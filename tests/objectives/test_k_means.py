"""k-means: weighted draws, far clumps, rows that count for nothing."""

import pytest
import torch

from fairway.core.random import Rows
from fairway.objectives.k_means import draw, k_means


def clumps(n):
    """Standard normal rows in three dimensions, float64."""
    return Rows(0, n, dtype=torch.float64).normal(3)


def test_rows_that_count_for_nothing_are_no_centres():
    x = torch.cat([clumps(50), torch.full((50, 3), 1e3).double()])
    weight = torch.cat([torch.ones(50), torch.zeros(50)]).double()
    for seed in range(5):
        centre, _ = k_means(x, weight, 3, torch.Generator().manual_seed(seed))
        assert float(centre.abs().max()) < 100


def testk_means_starts_one_centre_in_each_far_clump():
    x = clumps(90) + 100 * torch.arange(90).remainder(3).unsqueeze(1)
    for seed in range(5):
        centre, label = k_means(x, torch.ones(90).double(), 3, torch.Generator().manual_seed(seed))
        assert label.bincount().tolist() == [30, 30, 30]
        torch.testing.assert_close(centre[label[0]], x[::3].mean(0))


def test_draws_follow_their_weights():
    weight, generator = torch.tensor([0.0, 3.0, 0.0, 1.0, 0.0]), torch.Generator().manual_seed(0)
    counts = torch.tensor([draw(weight, generator) for _ in range(2000)]).bincount(minlength=5)
    assert counts[[0, 2, 4]].sum() == 0 and counts[1] / 2000 == pytest.approx(0.75, abs=0.03)
