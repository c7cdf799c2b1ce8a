"""Twenty runs are killed (kill -9) and resumed: does each end in the bits of the run that nobody killed?

Seven models through the command line, on handwritten digits, one thread, some networks smaller than by default. For
every model one run is left alone; the others are killed after a step drawn from the seed and a part of the steps that
follow, or (every third) in the midst of a checkpoint, with one every second step. A trial passes if

    the resumed process says a step above 0, at most one checkpoint interval before the last row of the killed one's log
    the log's rows up to that step are the killed process's own (to the microsecond of their clock), the rest goes on
    weights, averages, moments, critics, replay buffers, statistics of EM: every tensor of the last checkpoint is equal
    the log's numbers are equal in every digit (where both logs have a row for the same steps)

Writes benchmarks/results/kill_trials.json; exits 1 unless all trials pass.

    python benchmarks/kill_trials.py        about 6 minutes on an idle core
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import _record
import numpy as np
import torch

from fairway.data.dataset import load
from fairway.training import checkpoint
from fairway.training.files import read_tensors
from fairway.training.history import read_rows

MODELS = ("gmm", "made", "vae", "real_nvp", "wgan_gp", "ebm", "flow_matching")
TRIALS, STEPS, SEED = 20, 200, 0
MORE = {
    "gmm": ("--components", "20", "--objective.tolerance", "0"),
    "real_nvp": ("--transforms", "4"),
    "wgan_gp": ("--hidden", "64", "--objective.critic-hidden", "64,64"),
    "ebm": ("--hidden", "64", "--objective.chains", "128"),
}
OFTEN = 2  # steps between checkpoints where one is to be interrupted
PATIENCE = 300.0  # seconds


@dataclass
class Trial:
    """What happened.

    Args:
        model, kind: "anywhere" or "writing". every: steps between checkpoints. killed_after: step drawn.
        last_row: of the killed process's log. half_written: whether a checkpoint was cut short.
        resumed_at: what the resumed process said. failed: what was wrong with it; empty for a pass.
    """

    model: str
    kind: str
    every: int
    killed_after: int
    last_row: int = 0
    half_written: bool = False
    resumed_at: int = 0
    failed: str = ""


def command(model: str, out: Path, every: int, *more: str) -> list[str]:
    """`fairway fit`, in a process of its own."""
    words = ["fit", model, str(digits()), "--seed", "3", "--steps", str(STEPS), "--out", str(out), "--quiet"]
    words += ["--checkpoint-every", str(every), *MORE.get(model, ()), *more]
    return [sys.executable, "-c", "import sys; from fairway.cli import main; sys.exit(main())", *words]


@cache
def digits() -> Path:
    """The rows as a file: reading it is quicker than loading the library that they come with."""
    path = Path(tempfile.mkdtemp()) / "digits.npy"
    np.save(path, load("digits").x.numpy())
    return path


def start(words: list[str]) -> subprocess.Popen[str]:
    """A process on one thread, its output kept."""
    one = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return subprocess.Popen(words, env=one, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(words: list[str]) -> str:
    """The output of a process that must succeed.

    Raises:
        RuntimeError: it did not.
    """
    process = start(words)
    out, err = process.communicate()
    if process.returncode:
        raise RuntimeError(f"{' '.join(words[3:])} ended with {process.returncode}: {err[-1000:]}")
    return out


def wait_until(there: Callable[[], bool], process: subprocess.Popen[str], pause: float = 0.005) -> None:
    """Look again and again.

    Raises:
        RuntimeError: the process ended before, or it takes too long.
    """
    began = time.perf_counter()
    while not there():
        if process.poll() is not None:
            raise RuntimeError(f"ended before it could be killed: {process.communicate()[1][-1000:]}")
        if time.perf_counter() - began > PATIENCE:
            process.kill()
            raise RuntimeError(f"nothing to kill within {PATIENCE:g} seconds")
        time.sleep(pause)


def kill(out: Path, trial: Trial, dice: random.Random, number: int = signal.SIGKILL) -> tuple[int, str]:
    """Start a run and end it by a signal, after the step of the trial; its exit code and what it said of errors."""
    log, began = out / "metrics.jsonl", time.perf_counter()
    process = start(command(trial.model, out, trial.every))
    wait_until((out / checkpoint.PLACE).exists, process)
    wait_until(lambda: last_step(log) >= trial.killed_after, process)
    if trial.kind == "writing":
        wait_until(lambda: any(out.glob("training/.checkpoint*.tmp")), process, pause=0)
    else:  # a part of the time that the next steps take
        seconds = max((row["seconds"] for row in read_rows(log)), default=time.perf_counter() - began)
        time.sleep(dice.random() * trial.every * seconds / trial.killed_after)
    process.send_signal(number)
    said = process.communicate()[1]
    return process.returncode, said


def last_step(log: Path) -> int:
    """The step of a log's last row."""
    return max((int(row["step"]) for row in read_rows(log)), default=0)


def run(trial: Trial, whole: Path, out: Path, dice: random.Random) -> Trial:
    """Kill, resume, compare."""
    code = kill(out, trial, dice)[0]
    while last_step(out / "metrics.jsonl") == STEPS:  # too late: that is no trial
        shutil.rmtree(out)
        code = kill(out, trial, dice)[0]
    before = (out / "metrics.jsonl").read_text().splitlines()
    trial.last_row, trial.half_written = last_step(out / "metrics.jsonl"), any(out.glob("training/.checkpoint*.tmp"))
    said = finish(command(trial.model, out, trial.every, "--resume"))
    trial.resumed_at = int(said.split("resumed at step ")[1].split()[0])
    found = {
        f"ended with {code}, not by SIGKILL": code != -signal.SIGKILL,
        "started over": trial.resumed_at == 0,
        "repeated more than one interval": trial.last_row - trial.resumed_at > trial.every,
        "rewrote what was done": not continued(before, out / "metrics.jsonl", trial.resumed_at),
        "another log": trial.every == 50 and numbers(whole) != numbers(out),
        "other bits": not same_bits(whole, out),
    }
    trial.failed = ", ".join(name for name, wrong in found.items() if wrong)
    return trial


def continued(before: list[str], log: Path, step: int) -> bool:
    """Whether the log begins with the killed process's own lines up to a step, and then goes on to the end."""
    now = log.read_text().splitlines()
    kept = [line for line in before if line.endswith("}") and json.loads(line)["step"] <= step]
    new = [json.loads(line)["step"] for line in now[len(kept) :]]
    return now[: len(kept)] == kept and all(s > step for s in new) and max(new, default=step) == STEPS


def numbers(out: Path) -> list[dict[str, float]]:
    """The log without its clock."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in read_rows(out / "metrics.jsonl")]


def same_bits(a: Path, b: Path) -> bool:
    """Whether two runs ended in the same weights and the same last checkpoint."""
    for name in ("weights.safetensors", checkpoint.PLACE):
        one, other = read_tensors(a / name), read_tensors(b / name)
        if one.keys() != other.keys() or not all(torch.equal(one[k], other[k]) for k in one):
            return False
    return True


def drawn(models: tuple[str, ...], trials: int, seed: int) -> list[Trial]:
    """The trials: models in turn, every third in the midst of a checkpoint."""
    dice, out = random.Random(seed), []
    for i in range(trials):
        kind, every = ("writing", OFTEN) if i % 3 == 2 else ("anywhere", 50)
        out.append(Trial(models[i % len(models)], kind, every, dice.randrange(every, STEPS - 70)))
    return out


def main() -> int:
    """Run, write, judge."""
    began, trials = time.perf_counter(), drawn(MODELS, TRIALS, SEED)
    dice = random.Random(SEED + 1)
    print(f"{'model':<16}{'kind':<10}{'last row':>9}{'resumed':>9}{'interval':>9}  half-written  result")
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for i, trial in enumerate(trials):
            whole = home / trial.model
            if not whole.exists():
                finish(command(trial.model, whole, 50))
            run(trial, whole, home / str(i), dice)
            print(
                f"{trial.model:<16}{trial.kind:<10}{trial.last_row:>9}{trial.resumed_at:>9}{trial.every:>9}"
                f"{'yes' if trial.half_written else 'no':>14}  {trial.failed or 'equal in every bit'}",
                flush=True,
            )
    passed = sum(not trial.failed for trial in trials)
    print(f"{passed} of {len(trials)}")
    _record.write("kill_trials", began, {"steps": STEPS, "seed": SEED, "rows": [asdict(t) for t in trials]})
    return int(passed < len(trials))


if __name__ == "__main__":
    sys.exit(main())
