"""Weights & Biases: the log of a run in a W&B project, without network unless asked for.

Offline, everything lies in FOLDER/wandb; `wandb sync` sends it later. The identity of the record is kept in the run
folder, so that a resumed run goes on with the same record: since a resume repeats the same numbers, steps that W&B
holds already are left out.
"""

from pathlib import Path
from secrets import token_hex
from typing import Any

from fairway.training.callbacks.tracker import Tracker
from fairway.training.files import BrokenFolder, read_json, write_json

PLACE = Path("training") / "wandb.json"  # in the run folder


class WandB(Tracker):
    """Write every number of the log to W&B, and the settings as its configuration.

    Args:
        project: W&B's project.
        mode: "offline" (the default: nothing leaves this machine) or "online".
        folder: where W&B keeps its files; None for the run folder, or the working directory where there is none.

    Raises:
        ImportError: without wandb; names the extra.
        ValueError: another mode.
    """

    def __init__(self, project: str, mode: str = "offline", folder: str | Path | None = None) -> None:
        if mode not in ("offline", "online"):
            raise ValueError(f"expected mode as 'offline' or 'online', got {mode!r}")
        _wandb()  # a missing package is told before the training, not after
        self.project, self.mode, self.folder = project, mode, folder

    def open(self, run: Any, settings: dict[str, Any]) -> None:
        wandb, stage = _wandb(), run.plan.stage
        identity = _identity(run.out)
        self._record = wandb.init(
            project=self.project,
            mode=self.mode,
            dir=str(self.folder or run.out or "."),
            id=f"{identity}-{stage}" if stage else identity,
            group=identity,
            resume="allow",
            config=settings,
            settings=wandb.Settings(console="off"),  # leave the terminal to the run
        )
        self._from = self._record.step  # of an older record that goes on; 0 for a new one

    def write(self, row: dict[str, float], step: int) -> None:
        if step >= self._from:
            self._record.log(row, step=step)

    def close(self) -> None:
        self._record.finish()


def _identity(out: Path | None) -> str:
    """The record's name: the one in the run folder, or a new one, which is kept there."""
    if out is None:
        return token_hex(8)
    if (out / PLACE).exists():
        kept = read_json(out / PLACE)
        name = kept.get("id") if isinstance(kept, dict) else None
        if not (isinstance(name, str) and name.isalnum() and len(name) <= 64):
            raise BrokenFolder(f"{out / PLACE} does not name a W&B record; remove it to start a new one")
        return name
    name = token_hex(8)
    (out / PLACE).parent.mkdir(parents=True, exist_ok=True)
    write_json(out / PLACE, {"id": name})
    return name


def _wandb() -> Any:
    """The package."""
    try:
        import wandb
    except ImportError:
        raise ImportError("the callback WandB needs wandb: pip install 'fairway[wandb]'") from None
    return wandb
