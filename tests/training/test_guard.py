"""The window names the first bad move and its term, and gives the means of the rest."""

import math

import pytest
import torch

from fairway.training import checkpoint
from fairway.training.guard import HUGE, Diverged, Window, not_finite
from fairway.training.plan import Plan


def add(window, step, loss, player="model", norm=1.0, **terms):
    named = {name: torch.tensor(value) for name, value in terms.items()}
    window.add(step, player, torch.tensor(loss), named, torch.tensor(norm))


def test_means_by_name_and_player():
    window = Window()
    add(window, 0, 1.0, kl=0.5)
    add(window, 0, 7.0, player="critic", norm=3.0)
    add(window, 1, 3.0, kl=1.5)
    assert window.check() is None
    assert window.means() == {
        "loss": 2.0,
        "kl": 1.0,
        "gradient": 1.0,
        "critic_loss": 7.0,
        "critic_gradient": 3.0,
    }
    assert window.means() == {}


def test_a_check_in_the_middle_of_a_window_changes_no_mean():
    window = Window()
    add(window, 0, 1.0)
    assert window.check() is None
    add(window, 1, 2.0)
    assert window.check() is None
    assert window.means()["loss"] == pytest.approx(1.5)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 10 * HUGE])
def test_the_first_bad_step_and_term_are_named(bad):
    window = Window()
    add(window, 3, 1.0, nll=1.0, kl=1.0)
    add(window, 4, bad, nll=1.0, kl=bad)
    add(window, 5, bad, nll=bad, kl=bad)
    assert window.check() == (4, "kl")


def test_the_gradient_or_the_loss_is_named_where_every_term_was_fine():
    window = Window()
    add(window, 7, 1.0, norm=math.nan, nll=1.0)
    assert window.check() == (7, "gradient")
    add(window, 8, math.nan, nll=1.0)
    assert window.check() == (8, "loss")


def test_players_with_other_terms_do_not_hide_each_other():
    window = Window()
    add(window, 0, 1.0, player="critic", penalty=1.0)
    add(window, 0, 1.0, generator=math.nan)
    add(window, 1, 1.0, player="critic", penalty=math.nan)
    assert window.check() == (0, "generator")


def test_nothing_added_nothing_wrong():
    assert Window().check() is None


def test_the_graph_is_not_kept():
    window, weight = Window(), torch.ones((), requires_grad=True)
    window.add(0, "model", weight * 2, {"nll": weight.reshape(1) * 2}, torch.ones(()))
    assert not any(value.requires_grad for value in window._on_device)


def test_the_first_tensor_that_is_not_finite_is_named():
    good = {"weight": torch.full((2, 2), 1e15), "order": torch.tensor([1, 2]), "chains": torch.zeros(0, 2)}
    assert not_finite({}) is None and not_finite(good) is None
    for bad in (math.nan, math.inf, -math.inf):
        broken = torch.zeros(3, 2)
        broken[1, 1] = bad
        assert not_finite({**good, "bias": broken, "last": broken}) == "bias"
    large = torch.tensor([1e100, math.nan], dtype=torch.float64)
    assert not_finite({"double": large[:1], "half": torch.ones(2, dtype=torch.bfloat16)}) is None
    assert not_finite({"double": large}) == "double"


def test_the_error_says_where_the_last_checkpoint_lies(tmp_path):
    assert f"{tmp_path} holds no checkpoint yet" in str(Diverged(12, "kl", 0, out=tmp_path))
    plan = Plan(100, None, 32, 0).to_dict()
    checkpoint.write(tmp_path, ({"model.weight": torch.zeros(2)}, {"step": 50, "plan": plan}))
    said = str(Diverged(62, "kl", 50, out=tmp_path))
    assert f"the last good checkpoint is that of step 50 in {tmp_path / checkpoint.PLACE}" in said


def test_the_error_says_what_to_do():
    error = Diverged(12, "kl", 10, model="the model")
    assert (error.step, error.term, error.last_good, error.model) == (12, "kl", 10, "the model")
    assert "step 12" in str(error) and "'kl'" in str(error) and "lower lr" in str(error)


def test_a_gradient_may_be_huge_but_not_infinite():
    """One row far out in a heavy tail: the move is clipped, and training goes on."""
    window = Window()
    add(window, 1, 1.0, norm=100 * HUGE, nll=1.0)
    assert window.check() is None
    add(window, 2, 1.0, norm=math.inf, nll=1.0)
    assert window.check() == (2, "gradient")
