"""A budget's measurement leaves no trace but its numbers."""

import pytest
import torch

import fairway as fw
from fairway.training.fit import loop
from fairway.training.rehearse import on_threads
from fairway.training.run_folder import read_config


@pytest.fixture
def x():
    return torch.randn(300, 2, generator=torch.Generator().manual_seed(0))


SMALL = {"transforms": 2, "hidden": (8,), "batch_size": 32}


@pytest.mark.parametrize(("name", "options"), [("real_nvp", SMALL), ("ebm", {}), ("wgan_gp", {})])
def test_a_run_given_the_numbers_a_budget_bought_repeats_it_bit_for_bit(x, name, options):
    for _ in range(5):  # a busy machine may end a run by the clock, which nothing can repeat
        bought = fw.fit(name, x, budget=0.6, seed=3, **options)
        found = bought.history
        if found.stopped != "the budget was spent":
            break
    assert found.stopped != "the budget was spent"
    given = {"steps": found.planned, "evaluate_every": found.evaluate_every, "threads": found.threads}
    again = fw.fit(name, x, seed=3, **given, **options)
    assert found.steps >= 1
    assert all(
        torch.equal(a, b) for a, b in zip(bought.state_dict().values(), again.state_dict().values(), strict=True)
    )


def test_a_run_leaves_the_threads_as_they_were(x):
    before = torch.get_num_threads()
    model = fw.fit("real_nvp", x, budget=0.3, **SMALL)
    assert torch.get_num_threads() == before
    assert 1 <= model.history.threads <= max(before, 1)


def test_given_threads_are_used_and_recorded(x, tmp_path):
    seen = []
    for run in loop("real_nvp", x, steps=2, threads=1, out=tmp_path, **SMALL):
        seen.append((run.step, torch.get_num_threads()))
    assert seen == [(1, 1), (2, 1)]
    assert read_config(tmp_path)["fit"]["threads"] == 1


def test_threads_are_put_back_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="inside"), on_threads(1):
        raise RuntimeError("inside")
    assert torch.get_num_threads() == before
