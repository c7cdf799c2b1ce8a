"""Whether a fit will outlast its compilation; what earlier ones measured.

    saved = steps * eager seconds * (1 - 1 / gain)            gain = eager / compiled seconds of a step

With a record of the same step on the same machine: compile where `saved` exceeds the compile seconds measured then (the
least of them: torch keeps compiled code in a cache, beside which the records lie, and finds it again in a tenth of the
time). Without one, only a model declared to gain (`Model.compiles`) is compiled, in a fit that would take ten times as
long eagerly as a cold compilation: a gain of a ninth pays for it.

>>> worthwhile(0.01, 5_000, None, declared=True)
False
>>> worthwhile(0.01, 5_000, Record(compile_seconds=8.0, gain=1.5))
True
"""

import hashlib
import math
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from fairway.core.objective import Step
from fairway.training.files import BrokenFolder, read_json, write_json

COLD = 60.0  # seconds of a typical first compilation of a step, on one core
PATIENCE = 10.0  # times as long an unmeasured fit must last
NAME = "fairway.json"


@dataclass(frozen=True)
class Record:
    """What a compiled run measured: seconds to compile, and eager over compiled seconds of a step."""

    compile_seconds: float
    gain: float

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
                raise ValueError(f"expected {name} as a positive number, got {value!r}")


def worthwhile(eager_seconds: float, steps: int, record: Record | None, declared: bool = False) -> bool:
    """Whether compiling saves time.

    Args:
        eager_seconds: of one step that is not compiled.
        steps: of the fit.
        record: of the same step, from `recall`, or None.
        declared: whether the model is known to gain, where there is no record.
    """
    if record is None:
        return declared and steps * eager_seconds > PATIENCE * COLD
    return steps * eager_seconds * (1 - 1 / record.gain) > record.compile_seconds


def key_of(step: Step, batch_size: int, threads: int, precision: str = "float32") -> str:
    """A digest of all that decides what a compiled step gains: networks, batch, precision, machine, versions."""
    model = step.model
    device = torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else _processor()
    parts = [model.name(), step.objective.name(), repr(step), str(model.event), str(model.context_event)]
    parts += [str(model.dtype), precision, str(batch_size), str(threads), device, torch.__version__]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _processor() -> str:
    name = platform.processor() or platform.machine()
    return f"{name} {torch.backends.cpu.get_cpu_capability()} {os.cpu_count()}"


# -- the records ------------------------------------------------------------------------------------------------
def recall(key: str, folder: Path | None = None) -> Record | None:
    """What was measured under a key; None where nothing was, or nothing that can be read."""
    try:
        return Record(**_records(folder)[key])
    except (KeyError, TypeError, ValueError):
        return None


def remember(key: str, record: Record, folder: Path | None = None) -> None:
    """Keep a record: the new gain and the least compile seconds; a folder that cannot be written is left alone."""
    before, records = recall(key, folder), _records(folder)
    seconds = min(record.compile_seconds, before.compile_seconds if before else math.inf)
    records[key] = asdict(Record(seconds, record.gain))
    path = _path(folder)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, records)
    except OSError:
        return


def _path(folder: Path | None) -> Path:
    if folder is None:
        from torch._inductor.runtime.cache_dir_utils import cache_dir

        folder = Path(cache_dir())
    return folder / NAME


def _records(folder: Path | None) -> dict[str, dict[str, float]]:
    """All records; none where the file is missing or foreign."""
    try:
        found = read_json(_path(folder))
    except BrokenFolder:
        return {}
    return found if isinstance(found, dict) else {}
