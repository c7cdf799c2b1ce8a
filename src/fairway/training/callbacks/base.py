"""The moments of a run at which a callback is called.

>>> Every(100, lambda run: print(run.step)).steps
100
"""

from collections.abc import Callable
from typing import Any, ClassVar


class Callback:
    """Does nothing; override what you need.

    Class attributes:
        everywhere: whether it is called on every process of a run, or on the first alone.
    """

    everywhere: ClassVar[bool] = False

    def on_step(self, run: Any) -> None:
        """After every step."""

    def on_log(self, run: Any, row: dict[str, Any]) -> None:
        """After every log window, with its row."""

    def on_evaluate(self, run: Any, value: float) -> None:
        """After every evaluation, with the monitor's value."""

    def on_end(self, run: Any) -> None:
        """After the last step, before the best weights are put back."""


class Every(Callback):
    """Call a function of the run every so many steps, with the evaluated (averaged) weights in place.

    Args:
        steps: how often.
        function: takes the run; `run.model.sample(16, generator=0)` draws from the model as it stands.
    """

    everywhere = True

    everywhere = True  # evaluating may take all processes

    def __init__(self, steps: int, function: Callable[[Any], None]) -> None:
        self.steps, self.function = steps, function

    def on_step(self, run: Any) -> None:
        if run.step % self.steps == 0:
            with run.evaluated():
                self.function(run)
