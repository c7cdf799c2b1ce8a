"""The first signal waits for the end of a step, the second does not, and what handled signals before does so again."""

import signal
import subprocess
import sys
import textwrap
import threading

import pytest
import torch

from fairway.training import checkpoint
from fairway.training.callbacks import Callback
from fairway.training.fit import fit, loop
from fairway.training.interrupt import HANDLED, Interrupted, exhausting, interruptible, terminable
from fairway.training.plan import Plan

SMALL = {"transforms": 2, "hidden": (8,), "batch_size": 32}


@pytest.fixture(autouse=True)
def handlers():
    """Whatever a test leaves behind is noticed."""
    before = [signal.getsignal(number) for number in HANDLED]
    yield
    assert [signal.getsignal(number) for number in HANDLED] == before


def steps(taken):
    """A loop as the training loop is: three steps, left between two of them."""
    with interruptible() as signals:
        for step in range(3):
            taken.append(step)
            with signals.resting():
                yield signals
            if signals.asked:
                raise Interrupted(signals.asked, step + 1)


@pytest.mark.parametrize("number", HANDLED)
def test_the_first_signal_is_only_noted(number):
    with interruptible() as signals:
        assert signals.asked is None
        signal.raise_signal(number)
        assert signals.asked == signal.Signals(number).name


def test_the_second_signal_is_the_previous_handlers():
    with interruptible() as signals, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    assert signals.asked == "SIGTERM"


def test_the_second_signal_ends_a_process_by_default():
    code = """
        import signal
        from fairway.training.interrupt import interruptible
        with interruptible():
            signal.raise_signal(signal.SIGTERM)
            print("first", flush=True)
            signal.raise_signal(signal.SIGTERM)
            print("second", flush=True)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGTERM, "first\n", "")


def test_a_suspended_loop_leaves_signals_to_its_user():
    taken = []
    run = steps(taken)
    signals = next(run)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert signals.asked is None
    next(run)
    run.close()
    assert taken == [0, 1]


def test_a_loop_that_is_exhausted_hears_what_falls_between_two_steps():
    taken = []
    with exhausting():
        run = steps(taken)
        next(run)
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted, match="stopped at step 1 by SIGTERM"):
            next(run)
    assert taken == [0]


def test_an_abandoned_loop_is_closed_at_once():
    """No reference is kept to a generator that its user dropped."""
    for _ in steps([]):
        break
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_interleaved_loops_do_not_bring_each_other_back():
    before = signal.getsignal(signal.SIGTERM)
    first, second = interruptible(), interruptible()
    outer = first.__enter__()
    inner = second.__enter__()
    first.__exit__(None, None, None)
    signal.raise_signal(signal.SIGTERM)
    assert (outer.asked, inner.asked) == (None, "SIGTERM")
    second.__exit__(None, None, None)
    with pytest.raises(KeyboardInterrupt):  # through the handler of `first`, which is over
        signal.raise_signal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, before)


def test_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible() as signals:
            signal.raise_signal(signal.SIGINT)
            assert signals.asked is None
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_handle_no_signals():
    seen = []

    def work():
        with interruptible() as signals:
            seen.append((signals.asked, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(None, signal.default_int_handler)]


def test_a_forked_process_keeps_the_previous_handlers():
    """Workers that load data are ended by SIGTERM; they must not wait for a step that never comes."""
    code = """
        import os, signal
        from fairway.training.interrupt import interruptible
        with interruptible() as signals:
            if not (child := os.fork()):
                signal.raise_signal(signal.SIGTERM)
                os._exit(7)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), signals.asked)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.stdout == f"{-signal.SIGTERM} None\n"


def test_outside_of_steps_sigterm_raises():
    with terminable(), pytest.raises(Interrupted, match="SIGTERM") as caught:
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.exit_code == 143 and isinstance(caught.value, KeyboardInterrupt)


def test_within_steps_sigterm_waits_and_the_second_raises():
    with terminable(), interruptible() as signals:
        signal.raise_signal(signal.SIGTERM)
        assert signals.asked == "SIGTERM"
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_what_is_said_names_the_folder_to_go_on_with():
    assert str(Interrupted("SIGINT", 7)) == "stopped at step 7 by SIGINT"
    assert "go on with resume=True" in str(Interrupted("SIGINT", 7, "runs/a"))
    assert Interrupted("SIGINT").exit_code == 130


# -- in a run -------------------------------------------------------------------------------------------------------
class Signal(Callback):
    """Sends this process a signal after a step."""

    def __init__(self, number, step):
        self.number, self.step = number, step

    def on_step(self, run):
        if run.step == self.step:
            signal.raise_signal(self.number)


@pytest.mark.parametrize("number", HANDLED)
@pytest.mark.parametrize(("model", "options"), [("real_nvp", SMALL), ("gmm", {"components": 3, "tolerance": -1.0})])
def test_a_signal_stops_a_run_between_two_steps_and_a_resume_goes_on(x, tmp_path, model, options, number):
    options = {"steps": 60, **options}
    with pytest.raises(Interrupted, match="stopped at step 23 by") as caught:
        fit(model, x, out=tmp_path, callbacks=[Signal(number, 23)], **options)
    stopped = caught.value
    assert (stopped.signal, stopped.folder, stopped.step) == (signal.Signals(number).name, tmp_path, 23)
    assert not stopped.model.training and checkpoint.read(tmp_path)[1]["step"] == 23
    assert not checkpoint.read(tmp_path)[1].get("stopped")
    whole, resumed = fit(model, x, **options), fit(model, x, out=tmp_path, resume=True, **options)
    assert resumed.history.steps == 60
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def test_without_a_folder_the_model_is_all_there_is(x):
    with pytest.raises(Interrupted) as caught:
        fit("real_nvp", x, steps=60, callbacks=[Signal(signal.SIGINT, 23)], **SMALL)
    assert caught.value.folder is None and not caught.value.model.training
    assert torch.isfinite(caught.value.model.log_prob(x[:3])).all()


def test_a_signal_at_the_last_step_changes_nothing(x):
    model = fit("real_nvp", x, steps=10, callbacks=[Signal(signal.SIGTERM, 10)], **SMALL)
    assert model.history.stopped == "all steps taken"


def test_a_signal_while_a_budget_is_measured_waits_for_the_first_step(x, tmp_path, monkeypatch):
    def buy(plan, *costs):
        signal.raise_signal(signal.SIGTERM)
        plan.steps, plan.evaluate_every = 20, 10

    monkeypatch.setattr(Plan, "buy", buy)
    with pytest.raises(Interrupted, match="stopped at step 1 by SIGTERM"):
        fit("real_nvp", x, budget="9m", out=tmp_path, **SMALL)
    resumed = fit("real_nvp", x, budget="9m", out=tmp_path, resume=True, **SMALL)
    assert resumed.history.steps == 20


def test_in_a_loop_of_ones_own_signals_between_steps_are_ones_own(x):
    steps = []
    with pytest.raises(KeyboardInterrupt) as caught:
        for run in loop("real_nvp", x, steps=60, **SMALL):
            steps.append(run.step)
            if run.step == 5:
                signal.raise_signal(signal.SIGINT)
    assert not isinstance(caught.value, Interrupted) and steps == [1, 2, 3, 4, 5]
