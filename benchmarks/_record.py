"""What every result file says besides its numbers: versions, machine, seconds."""

import json
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import torch

import fairway

RESULTS = Path(__file__).parent / "results"


def commit() -> str:
    """The commit the numbers belong to, with + where the tree had changes."""
    try:
        out = subprocess.run(["git", "describe", "--always", "--dirty=+"], capture_output=True, text=True, check=True)
        return out.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def write(name: str, began: float, numbers: dict[str, Any]) -> Path:
    """Write benchmarks/results/NAME.json."""
    about = {
        "commit": commit(),
        "fairway": fairway.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "seconds": round(time.perf_counter() - began, 1),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({**numbers, "machine": about}, indent=2) + "\n")
    return path
