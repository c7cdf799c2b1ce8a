"""Five numbers, each on the failure that it is for; uniform noise stays a warning."""

import math

import pytest
import torch

from fairway.data.toy import grid, grid_centres, ring, ring_centres
from fairway.metrics.modes import Mixture, mode_metrics, modes_by_labels, reference_rows

NAMES = ["captured", "fair", "high_quality", "kl", "spread"]


def values(found):
    return [found[name].value for name in NAMES]


@pytest.mark.parametrize(("toy", "centres", "std"), [(grid, grid_centres(), 0.05), (ring, ring_centres(), 0.02)])
def test_real_data_read_all_modes_98_9_percent_no_divergence_and_spread_one(toy, centres, std):
    found = mode_metrics(toy(20_000).x, centres, std)
    captured, fair, quality, kl, spread = values(found)
    assert captured == fair == len(centres)
    assert quality == pytest.approx(0.98889, abs=4 * found["high_quality"].standard_error)
    assert kl < 4 * len(centres) / 40_000 and spread == pytest.approx(1, abs=4 * found["spread"].standard_error)
    assert found["spread"].standard_error < 0.01


def test_uniform_noise_over_the_box_scores_20_7_of_25_modes_and_no_fair_one():
    noise = torch.rand(60, 2500, 2, generator=torch.Generator().manual_seed(0)) * 10 - 5
    rows = [mode_metrics(x, grid_centres(), 0.05) for x in noise]
    captured = sum(row["captured"].value for row in rows) / len(rows)
    assert 20.2 < captured < 21.2  # 25 (1 - exp(-2500 pi 0.15^2 / 100)) = 20.73
    assert all(row["fair"].value == 0 and row["high_quality"].value < 0.05 for row in rows)
    assert sum(row["kl"].value for row in rows) / len(rows) < 0.01  # blind: the cells are filled evenly


def test_the_box_of_the_grid_is_cut_into_equal_cells():
    low, high = Mixture(grid_centres(), 0.05).box()
    assert low.tolist() == [-5, -5] and high.tolist() == [5, 5]


def test_reference_rows_show_each_failure():
    rows = reference_rows(grid_centres(), 0.05)
    assert list(rows) == ["real data", "uniform noise", "one mode", "narrow modes"]
    assert rows["real data"]["fair"].value == 25
    assert 15 <= rows["uniform noise"]["captured"].value <= 25 and rows["uniform noise"]["fair"].value == 0
    assert values(rows["one mode"])[:2] == [1, 1] and rows["one mode"]["kl"].value == pytest.approx(math.log(25))
    assert rows["narrow modes"]["spread"].value == pytest.approx(0.1, rel=0.05)
    assert rows["narrow modes"]["high_quality"].value == 1 and rows["narrow modes"]["fair"].value == 25


def test_reference_rows_repeat_and_leave_the_global_generator_alone():
    state = torch.get_rng_state()
    one, two = (reference_rows(ring_centres(), 0.02, n=100, generator=5) for _ in range(2))
    assert values(one["real data"]) == values(two["real data"])
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("width", [0.02, 0.5, 1.5, 2.0])
@pytest.mark.parametrize("d", [1, 2, 5])
def test_spread_reads_the_true_width_through_the_cut(width, d):
    law = Mixture(100 * torch.eye(6)[:, :d], 1.0) if d > 1 else Mixture([[0.0], [100.0]], 1.0)
    found = mode_metrics(law.sample(20_000, width=width, generator=1), law.centres, 1.0)["spread"]
    assert abs(found.value - width) < 4 * found.standard_error < 0.5 * width


def test_the_spread_of_collapsed_modes_is_zero_wherever_the_point_lies():
    x = grid_centres()[torch.arange(500) % 25] + 0.1  # a point in each mode, two deviations off
    found = mode_metrics(x, grid_centres(), 0.05)
    assert found["spread"].value < 1e-3 and found["fair"].value == 25
    assert math.isnan(mode_metrics(grid_centres(), grid_centres(), 0.05)["spread"].value)  # one row per mode
    assert mode_metrics(torch.rand(90_000, 2).sub(0.5) * 8, [[0.0, 0.0]], 1.0)["spread"].value > 3


def test_a_mode_with_a_trickle_is_captured_and_not_fair():
    x = torch.cat([grid(2480).x, grid_centres()[:1].expand(1, 2)])
    x = x[(x - grid_centres()[0]).norm(dim=1) > 0.5]
    x = torch.cat([x, grid_centres()[:1].expand(5, 2)])
    found = mode_metrics(x, grid_centres(), 0.05)
    assert (found["captured"].value, found["fair"].value) == (25, 24)


def test_nothing_depends_on_scale_and_rotation():
    angle = torch.tensor(0.7)
    turn = torch.tensor([[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]]).double()
    a = turn @ torch.diag(torch.tensor([1000.0, 0.01])).double()  # columns of very different units
    x, centres = ring(3000, noise=0.3).x.double(), ring_centres().double()
    plain = mode_metrics(x, centres, 0.3)
    moved = mode_metrics(x @ a.T + 7, centres @ a.T + 7, 0.3 * a)
    assert values(moved) == pytest.approx(values(plain), rel=1e-6)


def test_modes_may_differ_in_weight_and_width():
    law = Mixture([[0.0, 0.0], [50.0, 0.0]], [1.0, 4.0], [1.0, 9.0])
    found = mode_metrics(law.sample(5000, generator=0), law.centres, [1.0, 4.0], [1.0, 9.0])
    assert found["kl"].value < 0.002 and found["fair"].value == 2
    assert found["high_quality"].value == pytest.approx(0.989, abs=0.006)
    assert mode_metrics(law.sample(5000, generator=0), law.centres, [1.0, 4.0])["kl"].value > 0.3


@pytest.mark.parametrize(("n", "names"), [(125, ["captured", "fair", "high_quality", "spread"]), (1000, ["kl"])])
def test_floors_are_what_real_data_read(n, names):
    law = Mixture(grid_centres(), 0.05)
    runs = [mode_metrics(law.sample(n, generator=seed), grid_centres(), 0.05) for seed in range(100)]
    for name in names:
        found = torch.tensor([run[name].value for run in runs])
        floor, sd = runs[0][name].floor, runs[0][name].floor_sd
        assert abs(float(found.mean()) - floor) < 0.3 * sd, name
        assert float(found.std()) == pytest.approx(sd, rel=0.35), name


def test_labels_count_a_thousand_classes():
    labels = torch.randint(0, 1000, (26_000,), generator=torch.Generator().manual_seed(0))
    full, half = modes_by_labels(labels, 1000), modes_by_labels(labels % 500, 1000)
    assert full["captured"].value == 1000 and half["captured"].value == half["fair"].value == 500
    assert abs(full["kl"].value - full["kl"].floor) < 4 * full["kl"].floor_sd
    assert half["kl"].value == pytest.approx(math.log(2), abs=0.02)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"finite samples of shape \(n, 2\)"):
        mode_metrics(torch.ones(5, 3), grid_centres(), 0.05)
    with pytest.raises(ValueError, match="positive standard deviations"):
        mode_metrics(torch.ones(5, 2), grid_centres(), 0.0)
    with pytest.raises(ValueError, match=r"got \(3,\)"):
        mode_metrics(torch.ones(5, 2), grid_centres(), [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="8 positive weights"):
        mode_metrics(torch.ones(5, 2), ring_centres(), 0.1, [1.0])
    with pytest.raises(ValueError, match="centres of shape"):
        Mixture(torch.ones(3), 1.0)
    with pytest.raises(ValueError, match="0 to 3"):
        modes_by_labels([0, 4], 4)
