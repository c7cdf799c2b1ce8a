"""When a network grows, and what data look like to one that has not yet."""

import pytest
import torch

from fairway.networks.growth import Growth, averaged, enlarged


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def at(level, fade=1.0, last=2):
    growth = Growth(last)
    growth.level.fill_(level)
    growth.fade.fill_(fade)
    return growth


def course(growth, steps):
    growth.begin()
    seen = []
    for _ in range(steps):
        seen.append(growth.now)
        growth.advance()
    return seen


def test_each_level_fades_in_over_half_its_time_and_the_last_one_stays():
    assert course(Growth(2, pace=4), 14) == [
        *[(0, 1.0)] * 4,
        *[(1, 0.5), (1, 1.0), (1, 1.0), (1, 1.0)],
        *[(2, 0.5), *[(2, 1.0)] * 5],
    ]


def test_a_fade_takes_many_steps_where_there_are_many():
    fades = [fade for level, fade in course(Growth(1, pace=20), 30) if level]
    assert fades == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])


@pytest.mark.parametrize("growth", [Growth(3, pace=0), Growth(0, pace=5)], ids=["no pace", "one size"])
def test_what_does_not_grow_is_grown(growth):
    assert set(course(growth, 12)) == {(growth.last, 1.0)}


def test_as_built_it_is_grown_and_begins_where_its_age_says():
    growth = Growth(2, pace=4)
    assert growth.now == (2, 1.0)
    growth.begin()
    assert growth.now == (0, 1.0)
    growth.age.fill_(4)
    growth.begin()
    assert growth.now == (1, 0.5)


def test_age_level_and_fade_are_saved():
    old, young = Growth(2, pace=4), Growth(2, pace=4)
    course(old, 5)
    young.load_state_dict(old.state_dict())
    assert young.now == old.now == (1, 1.0)
    young.advance(), old.advance()
    assert young.now == old.now and int(young.age) == 6


def test_data_are_shown_as_the_level_could_draw_them():
    u = normal(3, 2, 8, 4)
    for level, tile in [(0, 4), (1, 2)]:
        wanted = u.reshape(3, 2, 8 // tile, tile, 4 // tile, tile).mean((3, 5))
        wanted = wanted.repeat_interleave(tile, 2).repeat_interleave(tile, 3)
        torch.testing.assert_close(at(level).coarse(u), wanted)
    assert torch.equal(at(2).coarse(u), u)


def test_data_fade_as_draws_do():
    u = normal(3, 8, 8)  # without channels
    torch.testing.assert_close(at(1, 0.25).coarse(u), 0.75 * at(0).coarse(u) + 0.25 * at(1).coarse(u))
    torch.testing.assert_close(at(2, 0.0).coarse(u), at(1).coarse(u))


def test_averages_undo_copies():
    u = normal(2, 3, 4, 4)
    torch.testing.assert_close(averaged(enlarged(u, 4), 4), u)
    assert enlarged(u, 2)[0, 0, :2, :2].unique().numel() == 1


def test_numbers_below_0_are_refused():
    with pytest.raises(ValueError, match="expected last and pace of at least 0, got last=2, pace=-1"):
        Growth(2, pace=-1)
