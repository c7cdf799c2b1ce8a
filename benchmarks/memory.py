"""Training on a mapped array of 4 GB: how much memory it takes beside the file's own pages.

A float32 .npy file of 4 GB (three quarters of it noise; not sparse, so that its pages are really read) is fitted by a
small RealNVP for some steps in a process of its own: `fw.fit("real_nvp", "big.npy", steps=...)`. Every 20 ms the
process is asked how much private memory it has: anonymous pages (RssAnon), which only it can give back; the file's
pages (RssFile) are the operating system's to drop. The same process without data, after the import of torch, is the
base.

Writes benchmarks/results/memory.json; exits 1 if the peak of anonymous memory reaches 1 GB.

    python benchmarks/memory.py        about 3 minutes and 4 GB of disk on one core
"""

import json
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import _record
import numpy as np
import torch

ROWS, COLUMNS, STEPS = 31_250_000, 32, 200
LIMIT = 1.0  # GB
CHUNK = 250_000


def make(path: Path) -> int:
    """Correlated columns at odd scales, written chunk by chunk; returns the bytes."""
    need = ROWS * COLUMNS * 4
    if shutil.disk_usage(path.parent).free < 1.2 * need:
        raise SystemExit(f"expected {1.2 * need / 1e9:.1f} GB of disk in {path.parent}, found less")
    array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(ROWS, COLUMNS))
    generator = np.random.default_rng(0)
    noise = generator.standard_normal((CHUNK, COLUMNS), dtype=np.float32)
    scale = np.logspace(-3, 3, COLUMNS, dtype=np.float32)
    for i, start in enumerate(range(0, ROWS, CHUNK)):
        array[start : start + CHUNK] = (np.roll(noise, i, 1) + 0.5 * noise[::-1]) * scale + scale
    array.flush()
    return path.stat().st_size


class Watch(threading.Thread):
    """The largest anonymous and file-backed memory of this process, in GB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.anonymous = self.file = 0.0

    def look(self) -> None:
        lines = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
        anonymous, file = (int(lines[name].split()[0]) * 1024 / 1e9 for name in ("RssAnon", "RssFile"))
        self.anonymous, self.file = max(self.anonymous, anonymous), max(self.file, file)

    def run(self) -> None:
        while True:
            self.look()
            time.sleep(0.02)


def child(path: str) -> None:
    """Fit, and print what it took as JSON."""
    torch.set_num_threads(1)
    import fairway as fw
    from fairway.training.fit import fit

    watch = Watch()
    watch.look()
    base = watch.anonymous
    watch.start()
    began = time.perf_counter()
    model = fit("real_nvp", path, steps=STEPS, hidden=(64,), transforms=4)
    watch.look()
    found = {
        "base": base,
        "peak": watch.anonymous,
        "peak_file_backed": watch.file,
        "ru_maxrss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
        "seconds": time.perf_counter() - began,
        "training_seconds": model.history.seconds,
        "loss": model.history.curve("loss")[-1],
        "fairway": fw.__version__,
    }
    print(json.dumps(found, default=float))


def main() -> int:
    """Make the file, fit in a process of its own, write the figures."""
    began = time.perf_counter()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "big.npy"
        size = make(path)
        done = subprocess.run([sys.executable, __file__, str(path)], capture_output=True, text=True)
    if done.returncode:
        print(done.stderr[-3000:], file=sys.stderr)
        return 1
    found = json.loads(done.stdout.splitlines()[-1])
    ok = found["peak"] < LIMIT
    print(f"{size / 1e9:.1f} GB on disk; {found['base']:.2f} GB before, peak {found['peak']:.2f} GB ({LIMIT} allowed)")
    rows = {"rows": ROWS, "columns": COLUMNS, "bytes": size, "steps": STEPS}
    print(_record.write("memory", began, {**rows, "gigabytes": found, "limit": LIMIT, "ok": ok}))
    return 0 if ok else 1


if __name__ == "__main__":
    if len(sys.argv) > 1:
        child(sys.argv[1])
    else:
        sys.exit(main())
