"""One call, every distance, in one unit, with its floor and interval where they are asked for."""

import math
import time

import pytest
import torch

from fairway.metrics.divergence import divergences, sliced_wasserstein, wasserstein
from fairway.metrics.divergence.summary import TRANSPORT_ROWS


def noise(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_every_number_has_a_unit_and_says_what_it_is():
    found = divergences(noise(0, 100, 2) + 2, noise(1, 150, 2))
    assert {name: estimate.unit for name, estimate in found.items()} == {
        "sliced_wasserstein_1": "standard deviations",
        "sliced_wasserstein_2": "standard deviations",
        "wasserstein": "standard deviations",
        "energy_distance": "standard deviations",
        "squared_mmd": "1",
        "jensen_shannon": "nats",
        "total_variation": "1",
        "neighbour_kl": "nats",
        "neighbour_reverse_kl": "nats",
    }
    assert all(estimate.value > 0.1 and sorted(estimate.n) == [100, 150] for estimate in found.values())
    bounds = {name for name, estimate in found.items() if estimate.relation == "lower"}
    assert bounds == {"jensen_shannon", "total_variation"}


def test_units_of_columns_do_not_matter_unless_one_asks():
    x, y, unit = noise(0, 60, 2), noise(1, 60, 2), torch.tensor([1e3, 1e-3])
    one, two = divergences(x, y), divergences(x * unit, y * unit)
    assert all(one[name].value == pytest.approx(two[name].value, rel=1e-6) for name in one)
    plain = divergences(x * 3, y * 3, relative=False)
    assert plain["wasserstein"].value == pytest.approx(wasserstein(3 * x, 3 * y).value, rel=1e-9)
    assert plain["sliced_wasserstein_2"].value == pytest.approx(sliced_wasserstein(3 * x, 3 * y), rel=1e-9)
    assert plain["wasserstein"].unit == "data units"


def test_images_are_rows():
    found = divergences(noise(0, 40, 1, 3, 3), noise(1, 40, 1, 3, 3))
    assert found["wasserstein"].n == (40, 40)


def test_with_floors_fresh_data_are_near_them_and_others_above():
    data = noise(0, 400, 2)
    near, far = (divergences(noise(1, 200, 2) + shift, data, floors=10) for shift in (0.0, 1.0))
    for name in near:
        assert abs(near[name].value - near[name].floor) < 5 * near[name].floor_sd, name
        assert far[name].value > far[name].floor + 5 * far[name].floor_sd, name
        assert near[name].n == (200, 200) and "200 rows a side" in near[name].protocol
        assert near[name].tied(near[name])
    assert near["wasserstein"].floor > 0.05


def test_with_repeats_every_number_has_an_interval():
    found = divergences(noise(0, 60, 2) + 1, noise(1, 60, 2), repeats=20)
    for estimate in found.values():
        low, high = estimate.interval
        assert low < estimate.value < high and estimate.standard_error > 0


def test_repeated_rows_have_no_neighbour_estimate():
    levels = (noise(0, 50, 1) > 0).long()
    found = divergences(levels, levels)
    assert "neighbour_kl" not in found and found["wasserstein"].value == 0


def test_one_seed_gives_one_answer_and_leaves_the_global_generator_alone():
    x, y = noise(0, 50, 2).sort(0).values, noise(1, 50, 2)
    before = torch.get_rng_state()
    one, two = divergences(x, y, generator=3), divergences(x, y, generator=3)
    assert all(one[name].value == two[name].value for name in one)
    assert torch.equal(before, torch.get_rng_state())


def test_many_rows_are_transported_in_part_and_say_so():
    found = divergences(noise(0, TRANSPORT_ROWS + 50, 1), noise(1, 300, 1))
    assert found["wasserstein"].n == (TRANSPORT_ROWS, 300) and math.isfinite(found["wasserstein"].value)


@pytest.mark.slow
def test_two_thousand_rows_of_64_entries_take_seconds():
    x, y = noise(0, 2000, 64), noise(1, 2000, 64)
    wasserstein(x[:9], y[:9])  # POT is imported
    start = time.process_time()
    divergences(x, y)
    assert time.process_time() - start < 8


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="at least 6 rows"):
        divergences(noise(0, 5, 2), noise(1, 50, 2))
    with pytest.raises(ValueError, match="as many entries"):
        divergences(noise(0, 50, 2), noise(1, 50, 3))
