"""Two processes learn what one does with the doubled batch; checkpoints are plain; a dead process is missed."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from fairway.training.files import read_tensors
from fairway.training.history import read_rows
from fairway.training.run_folder import load

SCRIPT = Path(__file__).with_name("shared_run.py")
NAMES = ("gmm", "made", "vae", "real_nvp", "wgan_gp", "ebm", "flow_matching")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def start(*words):
    """A process of the script; its output is read at the end."""
    pipe = subprocess.PIPE
    return subprocess.Popen(list(map(str, words)), stdout=pipe, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT)


def ended(process, seconds=240):
    said, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0, said[-9000:]


def weights(folder):
    return read_tensors(folder / "weights.safetensors")


def largest_difference(a, b):
    """Over the rows of two logs, of every number but the clock's."""
    rows, others = read_rows(a / "metrics.jsonl"), read_rows(b / "metrics.jsonl")
    assert [row.keys() for row in rows] == [row.keys() for row in others] and len(rows) == 8
    return max(abs(x[key] - y[key]) for x, y in zip(rows, others, strict=True) for key in x if key != "seconds")


def same_bits(a, b):
    a, b = weights(a), weights(b)
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def like_one(folder, kind, names):
    """Models on two processes: the curves of one with the doubled batch, and halves that resume in the same bits."""
    ended(start(sys.executable, SCRIPT, folder, "one", *names))
    ended(start(*TORCHRUN, SCRIPT, folder, kind, *names))
    for name in names:
        one, two = folder / f"{name}-one", folder / f"{name}-{kind}"
        assert largest_difference(one, two) < 1e-9, name
        assert all(torch.allclose(weights(one)[k], v, atol=1e-9) for k, v in weights(two).items()), name
        halves = folder / f"{name}-{kind}-halves"
        assert same_bits(two, halves) and (halves / "first_step.txt").read_text() == "5", name
        assert load(two).sample(3, generator=0).shape == (3, 3)  # in one process


@pytest.mark.timeout(300)
def test_two_processes_learn_what_one_learns_with_the_doubled_batch(tmp_path):
    like_one(tmp_path, "ddp", NAMES)


@pytest.mark.timeout(300)
def test_so_they_do_with_a_share_of_the_parameters_each(tmp_path):
    like_one(tmp_path, "fsdp", ("vae", "wgan_gp"))


@pytest.mark.slow
def test_so_does_every_model(tmp_path):
    like_one(tmp_path, "fsdp", NAMES)


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """The folder of a flow's run on two processes, left after half of its steps."""
    folder = tmp_path_factory.mktemp("two")
    ended(start(*TORCHRUN, SCRIPT, folder, "half", "real_nvp"))
    return folder / "real_nvp-half"


def test_a_run_of_two_processes_goes_on_in_one_with_their_batch(halves, tmp_path):
    """The order of the sums changes, and nothing else."""
    ended(start(sys.executable, SCRIPT, tmp_path, "one", "real_nvp"))
    ended(start(sys.executable, SCRIPT, halves.parent, "rest", "real_nvp"))
    assert largest_difference(tmp_path / "real_nvp-one", halves) < 1e-9


def neighbours(folder):
    """Two processes without a launcher that would end one when the other dies."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    known = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": "2"}
    words = [sys.executable, str(SCRIPT), str(folder), "endless", "real_nvp"]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    pair = [subprocess.Popen(words, env={**ENVIRONMENT, **known, "RANK": str(r)}, **pipe) for r in range(2)]
    journal = folder / "real_nvp-endless" / "metrics.jsonl"
    while not (journal.is_file() and journal.read_text().count("\n") > 20):
        assert all(p.poll() is None for p in pair)
        time.sleep(0.05)
    return pair


def test_a_dead_process_ends_the_other_within_a_minute(tmp_path):
    alive, dead = neighbours(tmp_path)
    dead.kill()
    began = time.monotonic()
    said, _ = alive.communicate(timeout=60)
    assert alive.returncode == 1 and "LostProcess: process 0 of 2 lost another one" in said, said[-2000:]
    assert time.monotonic() - began < 60
    dead.communicate()


@pytest.mark.slow
def test_a_silent_process_ends_the_other_after_a_minute(tmp_path):
    alive, silent = neighbours(tmp_path)
    silent.send_signal(signal.SIGSTOP)
    said, _ = alive.communicate(timeout=120)
    assert alive.returncode == 1 and "lost another one" in said, said[-2000:]
    silent.kill()
    silent.communicate()


def test_a_signal_to_one_process_ends_both_with_a_checkpoint(tmp_path):
    pair = neighbours(tmp_path)
    pair[1].send_signal(signal.SIGTERM)
    said = [process.communicate(timeout=60)[0] for process in pair]
    assert all("Interrupted: stopped at step" in text for text in said), said
    assert (tmp_path / "real_nvp-endless" / "training").is_dir()


def test_the_command_line_speaks_once(tmp_path):
    """`python -m fairway` under `torchrun`; a mistake ends it, too."""
    words = [
        "-m",
        "fairway",
        "fit",
        "real_nvp",
        "moons",
        "--steps",
        "3",
        "--hidden",
        "8",
        "--out",
        str(tmp_path / "run"),
    ]
    process = start(*TORCHRUN, *words)
    said, _ = process.communicate(timeout=100)
    assert process.returncode == 0 and said.count("the run is in") == 1, said
    assert load(tmp_path / "run").name() == "real_nvp"
