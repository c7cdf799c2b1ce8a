"""Signals during a run: the first one ends it after the present step, with a checkpoint; the second one at once.

    SIGINT (Ctrl-C), SIGTERM (a scheduler)    `asked` is set; the loop leaves between two steps, where a state is whole
    the same again                            whatever handled the signal before does so now

Only the main thread may handle signals; elsewhere nothing changes. A signal that was ignored (`nohup`) stays ignored.
While a generator is suspended in a loop of the user's own, signals are the user's.

>>> with interruptible() as signals:
...     signal.raise_signal(signal.SIGTERM)
...     signals.asked
'SIGTERM'
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

HANDLED = (signal.SIGINT, signal.SIGTERM)
_exhausted = False  # whether the loop that steps a run does nothing else


class Interrupted(KeyboardInterrupt):
    """A run was stopped from outside; the model is in eval mode with the best weights so far.

    Args:
        signal: its name, "SIGINT" or "SIGTERM".
        step: steps taken. folder: the run folder, whose checkpoint is of that step; None where there is none.
        model: that model.
    """

    def __init__(self, signal: str, step: int = 0, folder: Any = None, model: object = None) -> None:
        self.signal, self.step, self.folder, self.model = signal, step, folder, model
        where = "" if folder is None else f"; the checkpoint is in {folder}: go on with resume=True"
        super().__init__(f"stopped at step {step} by {signal}{where}")

    @property
    def exit_code(self) -> int:
        """What a process ended by this signal returns to its shell: 128 + the signal's number."""
        return 128 + int(signal.Signals[self.signal])


class Signals:
    """What was asked for while a run goes on.

    Attributes:
        asked: None, or the name of the first signal.
    """

    def __init__(self) -> None:
        self.asked: str | None = None
        self._before: dict[int, Any] = {}
        self._resting, self._process = False, os.getpid()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Within (around the `yield` of a generator), signals are the caller's own."""
        self._resting = not _exhausted
        try:
            yield
        finally:
            self._resting = False

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked is None and not self._resting and os.getpid() == self._process:
            self.asked = signal.Signals(number).name
        else:
            _pass_on(self._before[number], number, frame)

    def _listen(self) -> None:
        for number in HANDLED:
            before = signal.getsignal(number)
            if before not in (signal.SIG_IGN, None):  # None: handled outside Python, and not ours to give back
                self._before[number] = signal.signal(number, self._hear)

    def _leave(self) -> None:
        """Give the handlers back, unless somebody put others in our place: then pass on what they pass on."""
        self._resting = True
        for number, before in self._before.items():
            if _in_main_thread() and signal.getsignal(number) == self._hear:
                signal.signal(number, before)


@contextmanager
def interruptible() -> Iterator[Signals]:
    """Within, the first SIGINT or SIGTERM only sets `asked`; look at it between two steps."""
    signals = Signals()
    if _in_main_thread():
        signals._listen()
    try:
        yield signals
    finally:
        signals._leave()


@contextmanager
def exhausting() -> Iterator[None]:
    """Within, whoever steps a run takes no time between two steps: a signal that falls there waits for the next."""
    global _exhausted
    before = _exhausted
    _exhausted = _in_main_thread() or before
    try:
        yield
    finally:
        _exhausted = before


@contextmanager
def terminable() -> Iterator[None]:
    """Within, a SIGTERM outside of a run's steps raises `Interrupted`, as Ctrl-C raises KeyboardInterrupt."""
    listens = _in_main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if listens:
        signal.signal(signal.SIGTERM, _raise)
    try:
        yield
    finally:
        if listens:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _raise(number: int, frame: FrameType | None) -> None:
    raise Interrupted(signal.Signals(number).name)


def _pass_on(handler: Callable[..., Any] | int, number: int, frame: FrameType | None) -> None:
    """Do what another handler does."""
    if callable(handler):
        handler(number, frame)
    else:  # the system's default: only it can do that
        signal.signal(number, handler)
        signal.raise_signal(number)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
