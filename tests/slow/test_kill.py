"""A run that is killed and resumed ends in the same bits as one that was not: the process really dies."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch

from fairway.training.files import read_tensors

pytestmark = pytest.mark.slow
MODELS = ("gmm", "made", "vae", "real_nvp", "wgan_gp", "ebm", "flow_matching")
STEPS = {"gmm": "200"}


def command(name: str, out: str, *more: str) -> list[str]:
    """`fairway fit` on 400 digits' worth of steps, with options that leave time to kill it."""
    words = ["fit", name, "digits", "--seed", "3", "--steps", STEPS.get(name, "400"), "--out", out, "--quiet", *more]
    if name == "gmm":
        words += ["--objective.tolerance", "0", "--components", "40"]
    return [sys.executable, "-c", "import sys; from fairway.cli import main; sys.exit(main())", *words]


def run(words: list[str], folder: str) -> str:
    """The output of a command that must succeed."""
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def kill_after(words: list[str], folder: str, checkpoint: str, seconds: float) -> bool:
    """Start, wait for a first checkpoint and some more, kill -9; False where it ended first."""
    process = subprocess.Popen(words, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL)
    while process.poll() is None and not os.path.exists(checkpoint):
        time.sleep(0.01)
    time.sleep(seconds)
    if process.poll() is not None:
        return False
    process.send_signal(signal.SIGKILL)
    process.wait()
    return True


@pytest.mark.parametrize("name", MODELS)
def test_killed_and_resumed_is_bit_exact(name, tmp_path):
    run(command(name, "whole"), str(tmp_path))
    moment = random.Random(name).uniform(0, 0.5)
    checkpoint = str(tmp_path / "killed" / "training" / "checkpoint" / "state.json")
    assert kill_after(command(name, "killed"), str(tmp_path), checkpoint, moment), "ended before it could be killed"
    said = run(command(name, "killed", "--resume"), str(tmp_path))
    step = int(said.split("resumed at step ")[1].split()[0])
    assert step > 0
    whole, resumed = (read_tensors(tmp_path / out / "weights.safetensors") for out in ("whole", "killed"))
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
