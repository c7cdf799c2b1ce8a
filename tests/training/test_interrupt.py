"""The first signal waits for the end of a step, the second does not, and what handled signals before does so again."""

import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from fairway.training.interrupt import HANDLED, Interrupted, exhausting, interruptible, terminable


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
