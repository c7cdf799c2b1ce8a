"""A run that is killed and resumed ends in the same bits as one that was not: the process really dies.

All seven models, killed anywhere and in the midst of a checkpoint, by the trials of benchmarks/kill_trials.py; two of
them stopped by signals that a process may answer.
"""

import random
import runpy
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from fairway.training import checkpoint
from fairway.training.files import read_json

pytestmark = pytest.mark.slow
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def trials():
    """The functions of the benchmark."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(BENCHMARKS)
        return SimpleNamespace(**runpy.run_path(str(BENCHMARKS / "kill_trials.py")))


@pytest.fixture(scope="module")
def whole(trials, tmp_path_factory):
    """The run that nobody killed, made once for a model."""
    home = tmp_path_factory.mktemp("whole")

    def run(model):
        if not (home / model).exists():
            trials.finish(trials.command(model, home / model, 50))
        return home / model

    return run


KILLS = [(name, 50, "anywhere") for name in ("gmm", "made", "vae", "real_nvp", "wgan_gp", "ebm", "flow_matching")]
KILLS += [("gmm", 2, "writing"), ("flow_matching", 2, "writing")]


@pytest.mark.parametrize(("model", "every", "kind"), KILLS)
def test_killed_and_resumed_is_bit_exact(trials, whole, tmp_path, model, every, kind):
    dice = random.Random(f"{model}{kind}")
    trial = trials.Trial(model, kind, every, dice.randrange(every, trials.STEPS - 70))
    assert not trials.run(trial, whole(model), tmp_path / "cut", dice).failed
    assert trial.last_row - trial.resumed_at <= every


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("model", ["gmm", "made"])
def test_a_signal_leaves_a_checkpoint_of_its_step(trials, whole, tmp_path, model, name):
    number, dice = signal.Signals[name], random.Random(f"{model}{name}")
    out = tmp_path / "it's cut"
    trial = trials.Trial(model, "anywhere", 50, dice.randrange(50, trials.STEPS - 70))
    code, said = trials.kill(out, trial, dice, number)
    assert code == 128 + number and said.count("\n") == 1, said
    step = checkpoint.read(out)[1]["step"]
    assert said.startswith(f"stopped at step {step} by {name}; go on with: fairway fit {model} /")
    assert said.endswith(" --resume\n")
    assert f"resumed at step {step}\n" in trials.finish(trials.command(model, out, 50, "--resume"))
    assert trials.same_bits(whole(model), out)


def test_two_signals_end_a_run_at_once(trials, tmp_path):
    """The second is nobody's to wait for: the last checkpoint is good enough."""
    process = trials.start(trials.command("wgan_gp", tmp_path, 50))
    trials.wait_until((tmp_path / checkpoint.PLACE).exists, process)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in said
    assert checkpoint.read(tmp_path)[1]["step"] >= 50


@pytest.mark.parametrize("seconds", [0.5, 2.0, 3.5])
def test_a_signal_before_the_first_step_ends_without_a_trace(trials, tmp_path, seconds):
    """While modules load there is nobody to answer; then there is a line."""
    process = trials.start(trials.command("real_nvp", tmp_path, 50, "--budget", "20"))
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode in (143, -signal.SIGTERM) and "Traceback" not in said


def test_what_a_budget_bought_is_not_bought_again(trials, tmp_path):
    """On a machine that is busy now and idle later, the second measurement would be another one."""
    words = trials.command("made", tmp_path, 50)
    at = words.index("--steps")
    words[at : at + 2] = ["--budget", "15"]
    process = trials.start(words)
    trials.wait_until((tmp_path / checkpoint.PLACE).exists, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    then = checkpoint.read(tmp_path)[1]
    trials.finish([*words, "--resume"])
    now = checkpoint.read(tmp_path)[1]
    if now["stopped"] != "the budget was spent":  # by the clock, where the machine became slower
        assert now["plan"] == then["plan"]
    chosen = read_json(tmp_path / "config.json")["fit"]
    assert now["plan"]["threads"] == then["plan"]["threads"] == chosen["threads"]
