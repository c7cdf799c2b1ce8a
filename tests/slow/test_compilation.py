"""Compiled training in full: the eager losses, and the same bits when another process goes on from the middle."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import hashlib, json, sys
import torch
from safetensors.torch import load_file, save_file
from fairway.core.config import lookup
from fairway.core.event import Event
from fairway.core.objective import Batch, Step
from fairway.core.random import Rows, mix, seeded
from fairway.training.compilation import compiled

name, first, last, read, write, how = sys.argv[1:]
torch.set_num_threads(1)
OPTIONS = {"made": {"hidden": (16,)}, "vae": {"hidden": (16,), "dropout": 0.2}, "wgan_gp": {"hidden": (16,)}}
OPTIONS |= {"real_nvp": {"hidden": (16,), "transforms": 2}, "flow_matching": {"hidden": (16, 16)}}
with seeded(0):
    model = lookup("model", name)(Event((4,)), **OPTIONS[name])
with seeded(1):
    objective = model.default_objective()
    objective.setup(model)
step = Step(model, objective).double().train()
if read != "-":
    step.load_state_dict(load_file(read))
forward = compiled(step) if how == "compiled" else step
players, losses = objective.players(model), []
for k in range(int(first), int(last)):
    for i, phase in enumerate(objective.phases(model)):
        seed = mix(0, k, i)
        with seeded(seed):
            u = Rows(seed, 32, 0, torch.float64).normal(4)
            loss = forward(Batch(u), phase, Rows(seed, 32, 0, torch.float64)).total
        own = list(players[phase.player].parameters())
        gradients = torch.autograd.grad(loss, own, allow_unused=True)
        with torch.no_grad():
            for p, g in zip(own, gradients):
                if g is not None:
                    p -= 0.01 * g
        if phase.after:
            phase.after(model)
        losses.append(float(loss))
if how == "compiled":
    assert not forward.eager
save_file({k: v.contiguous() for k, v in step.state_dict().items()}, write)
print(json.dumps(losses))
"""


def run(folder: Path, cache: Path, name, first, last, read, write, how="compiled"):
    """Steps first to last in a process of its own, with a cache of compiled code of its own."""
    arguments = [name, str(first), str(last), str(folder / read) if read else "-", str(folder / write), how]
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(cache), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", SCRIPT, *arguments], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["made", "vae", "real_nvp", "wgan_gp", "flow_matching"])
def test_four_and_four_compiled_steps_are_eight_in_every_bit_and_follow_the_eager_losses(name, tmp_path):
    """The second half is compiled from nothing, without the first one's cache."""
    whole = run(tmp_path, tmp_path / "a", name, 0, 8, None, "whole")
    run(tmp_path, tmp_path / "a", name, 0, 4, None, "half")
    run(tmp_path, tmp_path / "b", name, 4, 8, "half", "resumed")
    assert digest(tmp_path / "whole") == digest(tmp_path / "resumed") != digest(tmp_path / "half")
    assert run(tmp_path, tmp_path / "a", name, 0, 8, None, "eager", "eager") == pytest.approx(whole, rel=1e-9, abs=1e-9)
