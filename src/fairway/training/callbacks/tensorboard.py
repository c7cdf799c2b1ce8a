"""TensorBoard: `tensorboard --logdir FOLDER` shows the curves of a run while it learns."""

import json
from pathlib import Path
from typing import Any

from fairway.training.callbacks.tracker import Tracker


class TensorBoard(Tracker):
    """Write every number of the log to TensorBoard event files, the settings as text.

    A run that is resumed, or repeated into the same folder, replaces what the folder showed: events carry a purge mark,
    then the whole log so far, so that no step is shown twice. Later stages have folders of their own inside.

    Args:
        folder: for the event files; one run each.

    Raises:
        ImportError: without tensorboard; names the extra.
    """

    def __init__(self, folder: str | Path) -> None:
        _writer()  # a missing package is told before the training, not after
        self.folder = Path(folder)

    def open(self, run: Any, settings: dict[str, Any]) -> None:
        stage = run.plan.stage
        folder = self.folder / f"stage_{stage}" if stage else self.folder
        self._file = _writer()(str(folder), purge_step=0)
        self._file.add_text("settings", f"```json\n{json.dumps(settings, indent=2)}\n```")

    def write(self, row: dict[str, float], step: int) -> None:
        for name, value in row.items():
            self._file.add_scalar(name, value, step)
        self._file.flush()  # not later than the checkpoint that a resumed run goes on from

    def close(self) -> None:
        self._file.close()


def _writer() -> Any:
    """The class that writes event files."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise ImportError("the callback TensorBoard needs tensorboard: pip install 'fairway[tensorboard]'") from None
    return SummaryWriter
