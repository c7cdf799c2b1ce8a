"""Progress is shown where the user is: on a terminal, in a notebook, in a log; and it is over when the run is."""

import io
import logging
import sys
import types

import pytest
from rich.console import Console

from fairway.training.callbacks import Callback, ProgressBar, progress
from fairway.training.callbacks.progress import Lines, Notebook, Terminal, face_for
from fairway.training.fit import fit


class Shown:
    """A face that remembers."""

    def __init__(self):
        self.seen, self.closed = [], 0

    def show(self, done, total, note):
        self.seen.append((done, total, note))

    def close(self):
        self.closed += 1


@pytest.fixture
def clock(monkeypatch):
    """Seconds that only the test moves."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def notebook(monkeypatch):
    """What a cell's output shows; IPython itself need not be there."""
    drawn = []
    handle = types.SimpleNamespace(update=drawn.append)
    fake = types.SimpleNamespace(HTML=lambda text: text, display=lambda html, display_id: handle)
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(display=fake))
    monkeypatch.setitem(sys.modules, "IPython.display", fake)
    return drawn


def test_every_ten_steps_and_every_log_row(x, small):
    face = Shown()
    fit("real_nvp", x, steps=60, callbacks=[ProgressBar("flow", face)], **small)
    assert [done for done, _, _ in face.seen] == [1, 10, 20, 30, 40, 50, 50, 60, 60]
    assert all(total == 60 for _, total, _ in face.seen)
    assert face.seen[-1][2].startswith("loss ") and " best " in face.seen[-1][2]
    assert face.closed == 1


def test_what_an_objective_wants_shown_stands_beside_the_loss_until_it_is_known_anew(x):
    face = Shown()
    fit("gan", x, steps=100, log_every=25, evaluate_every=50, hidden=(8,), seed=0, callbacks=[ProgressBar("gan", face)])
    notes = {done: note for done, _, note in face.seen if note}
    assert "accuracy 0." in notes[25] and "uncovered" not in notes[25]
    assert "  uncovered " in notes[50] and "  uncovered " in notes[75]


def test_it_is_closed_after_an_error(x, small, monkeypatch):
    class Stop(Callback):
        def on_step(self, run):
            if run.step == 12:
                raise KeyboardInterrupt

    face = Shown()
    monkeypatch.setattr(progress, "face_for", lambda name, console: face)
    with pytest.raises(KeyboardInterrupt):
        fit("real_nvp", x, steps=20, progress=True, callbacks=[Stop()], **small)
    assert face.closed == 1


def test_each_place_has_its_own(notebook):
    assert isinstance(face_for("fit", Console(file=io.StringIO())), Lines)
    terminal = face_for("fit", Console(file=io.StringIO(), force_terminal=True))
    terminal.close()
    assert isinstance(terminal, Terminal)
    assert isinstance(face_for("fit", Console(file=io.StringIO(), force_jupyter=True)), Notebook)


def test_a_terminal_shows_step_total_and_note():
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=120, color_system=None)
    face = Terminal("real_nvp fit", console)
    face.show(40, 100, "loss 1.5")
    face._bar.refresh()
    face.close()
    assert "real_nvp fit" in written.getvalue() and "40/100" in written.getvalue() and "loss 1.5" in written.getvalue()


def test_a_notebook_is_drawn_now_and_then_and_at_the_end(notebook, clock):
    face = Notebook("<fit>")
    face.show(1, 100, "")
    assert notebook == []
    clock[0] += 1
    face.show(20, 100, "loss 1 < 2")
    face.show(21, 100, "")
    assert len(notebook) == 1 and "value='20' max='100'" in notebook[0]
    assert "&lt;fit&gt;" in notebook[0] and "loss 1 &lt; 2" in notebook[0]
    face.show(1_000, None, "")
    face.close()
    assert len(notebook) == 2 and "step 1,000" in notebook[1] and "<progress" not in notebook[1]


def test_elsewhere_a_line_every_ten_seconds_goes_to_the_log(clock, caplog):
    caplog.set_level(logging.INFO, logger="fairway")
    face = Lines("real_nvp fit")
    for done in range(10, 60, 10):
        clock[0] += 6
        face.show(done, 5_000, "loss 1.5" if done > 20 else "")
    face.close()
    assert [record.getMessage() for record in caplog.records] == [
        "real_nvp fit: step 20 of 5,000",
        "real_nvp fit: step 40 of 5,000  loss 1.5",
    ]
