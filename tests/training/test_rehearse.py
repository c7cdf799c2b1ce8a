"""A budget's measurement leaves no trace but its numbers."""

import pytest
import torch

import fairway as fw
from fairway.training import engine, rehearse
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


# -- compile and precision -------------------------------------------------------------------------------------------
@pytest.fixture
def measured(monkeypatch):
    """A machine that compiles at no cost (to the same numbers), where eager steps take 1 s and compiled ones 0.4 s."""
    seen = {"remembered": {}, "compiled": [], "seconds": {True: 0.4, False: 1.0}}

    def compiled(step):
        seen["compiled"].append(step)
        return lambda *inputs: step(*inputs)

    def seconds(run):
        run._take_step()
        return seen["seconds"][run.engine.forward is not run.engine.step]

    monkeypatch.setattr(engine, "compiled", compiled)
    monkeypatch.setattr(rehearse, "MANY", 5)
    monkeypatch.setattr(rehearse, "why_eager", lambda step: None)
    monkeypatch.setattr(rehearse, "recall", lambda key: seen["remembered"].get(key))
    monkeypatch.setattr(rehearse, "remember", lambda key, record: seen["remembered"].update({key: record}))
    monkeypatch.setattr(rehearse, "worthwhile", lambda seconds, steps, record, declared: steps * seconds > 5)
    monkeypatch.setattr(rehearse, "_step_seconds", seconds)
    return seen


def weights(model):
    return list(model.state_dict().values())


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(weights(a), weights(b), strict=True))


def test_auto_compiles_what_is_measured_to_be_faster_and_leaves_no_other_trace(x, measured, tmp_path):
    model = fw.fit("real_nvp", x, steps=8, out=tmp_path / "a", **SMALL)
    assert model.history.compiled and read_config(tmp_path / "a")["fit"]["compile"] == "on"
    (record,) = measured["remembered"].values()
    assert record.gain == pytest.approx(2.5)
    eager = fw.fit("real_nvp", x, steps=8, compile="off", out=tmp_path / "b", **SMALL)
    assert same(model, eager) and read_config(tmp_path / "b")["fit"]["compile"] == "off"
    assert len(measured["compiled"]) == 1


def test_auto_stays_eager_where_compiling_gains_nothing(x, measured):
    measured["seconds"][True] = 0.95
    assert not fw.fit("real_nvp", x, steps=8, **SMALL).history.compiled
    assert len(measured["compiled"]) == 1 and len(measured["remembered"]) == 1


@pytest.mark.parametrize("steps", [4, 5])
def test_auto_does_not_even_measure_short_fits(x, measured, steps, monkeypatch):
    if steps == 5:
        monkeypatch.setattr(rehearse, "worthwhile", lambda *_, **__: False)
    assert not fw.fit("real_nvp", x, steps=steps, **SMALL).history.compiled
    assert measured["compiled"] == [] and measured["remembered"] == {}


def test_what_was_chosen_is_resumed(x, measured, tmp_path):
    whole = fw.fit("real_nvp", x, steps=8, out=tmp_path / "whole", **SMALL)
    for run in loop("real_nvp", x, steps=8, out=tmp_path / "half", checkpoint_every=4, log_every=4, **SMALL):
        if run.step == 4:
            break
    measured["remembered"].clear()
    measured["seconds"][True] = 9.0  # would now be refused: it is not measured again
    more = {"out": tmp_path / "half", "checkpoint_every": 4, "log_every": 4, "resume": True}
    model = fw.fit("real_nvp", x, steps=8, **more, **SMALL)
    assert model.history.compiled and same(model, whole) and measured["remembered"] == {}


def test_a_resumed_run_is_not_told_another_way(x, tmp_path):
    for run in loop("real_nvp", x, steps=8, out=tmp_path, checkpoint_every=4, log_every=4, compile="off", **SMALL):
        if run.step == 4:
            break
    more = {"out": tmp_path, "checkpoint_every": 4, "log_every": 4, "resume": True}
    with pytest.raises(ValueError, match="expected compile as in the run so far"):
        fw.fit("real_nvp", x, steps=8, compile="on", **more, **SMALL)
    with pytest.raises(ValueError, match="expected precision as in the run so far"):
        fw.fit("real_nvp", x, steps=8, precision="bfloat16", **more, **SMALL)


def test_half_precision_is_asked_for_recorded_and_taken_off_at_the_end(x, tmp_path):
    model = fw.fit("real_nvp", x, steps=3, precision="bfloat16", out=tmp_path, **SMALL)
    assert read_config(tmp_path)["fit"]["precision"] == "bfloat16"
    assert not any(module._forward_hooks for module in model.modules())
    whole = fw.fit("real_nvp", x, steps=3, precision="float32", **SMALL)
    assert not same(model, whole)  # the products were rounded
    assert all(v.dtype != torch.bfloat16 and bool(v.isfinite().all()) for v in weights(model))
    with pytest.raises(ValueError, match="float64"):
        fw.fit("real_nvp", x, steps=3, precision="bfloat16", dtype="float64", **SMALL)
