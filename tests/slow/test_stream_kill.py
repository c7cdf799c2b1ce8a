"""A run on parquet shards that is killed (kill -9, workers and all) and resumed ends in the same bits."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from fairway.training.checkpoint import PLACE
from fairway.training.files import read_tensors

pytestmark = pytest.mark.slow
pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
SCRIPT = """
import sys
import fairway as fw
from fairway.data import stream
out, workers, resume = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "resume"
fw.fit("real_nvp", stream("shards", labels="y", workers=workers), context="labels", steps=600, batch_size=200,
       transforms=2, hidden=(16,), seed=3, out=out, resume=resume)
"""


@pytest.fixture
def shards(tmp_path):
    (tmp_path / "shards").mkdir()
    generator = np.random.default_rng(0)
    for i in range(6):
        x, y = generator.normal(size=(30_000, 3)), generator.integers(0, 3, 30_000)
        pq.write_table(pa.table({"a": x[:, 0] + y, "b": x[:, 1] * 1e3, "c": x[:, 2], "y": y}),
                       tmp_path / "shards" / f"{i}.parquet", row_group_size=10_000)  # fmt: skip
    return tmp_path


def start(folder, out, workers, how):
    words = [sys.executable, "-c", SCRIPT, out, str(workers), how]
    return subprocess.Popen(words, cwd=folder, env={**os.environ, "OMP_NUM_THREADS": "1"})


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_and_resumed_is_bit_exact(workers, shards):
    assert start(shards, "whole", 0, "new").wait() == 0
    process, checkpoint = start(shards, "cut", workers, "new"), shards / "cut" / PLACE
    while process.poll() is None and not checkpoint.exists():
        time.sleep(0.01)
    time.sleep(random.Random(workers).uniform(0, 0.5))
    assert process.poll() is None, "ended before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (shards / "cut" / "weights.safetensors").exists()
    assert start(shards, "cut", workers, "resume").wait() == 0
    whole, resumed = (read_tensors(shards / out / "weights.safetensors") for out in ("whole", "cut"))
    assert whole.keys() == resumed.keys() and all(torch.equal(whole[key], resumed[key]) for key in whole)
