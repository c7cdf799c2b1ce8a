"""`fairway fit`: the options of one model, what is handed to `fit` and what is left to its defaults."""

import functools
import json
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import fairway.training.fit as training
from fairway.cli.fit import run
from fairway.cli.options import plain_options
from fairway.models.registry import models
from fairway.training.interrupt import Interrupted
from fairway.training.run_folder import load

SHORT = ("--steps", "4", "--hidden", "4", "--transforms", "2", "--quiet")


class Asked(Exception):
    """Raised instead of training."""


@pytest.fixture
def told(monkeypatch, runs):
    """The options that a command line hands to `fairway.fit`, without a training."""

    @functools.wraps(training.fit)
    def instead(model, x, **options):
        raise Asked(options)

    def ask(*words):
        with monkeypatch.context() as patched:
            patched.setattr(training, "fit", instead)
            with pytest.raises(Asked) as caught:
                run([str(runs / "points.npy") if word == "DATA" else word for word in words])
        options = caught.value.args[0]
        return {key: value for key, value in options.items() if key not in ("progress", "out") and value is not None}

    return ask


@pytest.mark.parametrize("name", list(models))
def test_the_help_of_every_model_shows_its_constructor(cli, name):
    ended = cli("fit", name, "--help")
    out = " ".join(ended.out.split())
    assert ended.code == 0 and f"usage: fairway fit {name} " in out and "<class" not in out and "<func" not in out
    fits = plain_options(training.fit)
    for option in plain_options(models[name], skip=("event", "context_event", *fits)):
        assert f"--{option} " in out
    assert "--steps STEPS number of steps." in out and "share of rows held out for early stopping" in out


def test_the_help_says_what_the_docstring_says(cli):
    out = " ".join(cli("fit", "gmm", "--help").out.split())
    assert "number of Gaussians. (type: a whole number, default: 10)" in out
    assert "type: one of full, tied, diagonal, spherical, default: full" in out
    assert "stop when the log-likelihood per entry gains less than this, nats." in out


def test_the_help_shows_what_a_model_presets_of_its_objective(cli):
    out = " ".join(cli("fit", "gaussian", "--help").out.split())
    assert "(type: a number or none, default: 0.0)" in out  # the objective's own default is none


def test_another_objective_brings_its_options(cli):
    out = cli("fit", "real_nvp", "--objective", "elbo", "--help").out
    assert "its objective (elbo)" in out and "--objective.beta" in out


def test_fit_alone_explains_itself(cli):
    out = cli("fit", "--help").out
    assert "--config RUN/config.json" in out and all(name in out for name in models)


def test_only_what_was_said_is_handed_on(told):
    """A default is stated once, by the signature it comes from: the model's presets of its objective stay."""
    assert told("gaussian", "DATA") == {}
    assert told("real_nvp", "DATA", "--hidden", "8,4", "--batch-size=16") == {"hidden": (8, 4), "batch_size": 16}
    assert told("vae", "DATA", "--objective.beta", "3", "--budget", "30s") == {"objective.beta": 3.0, "budget": "30s"}
    assert told("gmm", "DATA", "--lr", "none", "--resume", "--dtype", "float64") == {"resume": True, "dtype": "float64"}
    assert told("ebm", "DATA", "--steps", "5") == {"steps": 5}  # the fit's own names come first


def test_a_run_as_in_python(cli, runs, tmp_path):
    ended = cli("fit", "real_nvp", runs / "points.npy", *SHORT, "--seed", "3", "--out", "run")
    assert ended.code == 0 and ended.err == ""
    first, second = ended.out.splitlines()
    assert first.startswith("real_nvp: 4 steps in ") and second == "the run is in run"
    wanted = training.fit("real_nvp", str(runs / "points.npy"), steps=4, hidden=(4,), transforms=2, seed=3)
    for found, value in zip(load("run").parameters(), wanted.parameters(), strict=True):
        assert torch.equal(found, value)


def test_the_run_goes_where_its_name_says(cli, runs):
    ended = cli("fit", "gmm", runs / "points.npy", "--components", "2", "--quiet")
    assert "the run is in runs/gmm-points.npy" in ended.out and load("runs/gmm-points.npy").name() == "gmm"


def test_the_share_kept_back_is_written_down(runs):
    assert json.loads((runs / "flow" / "data.json").read_text())["part"] == {"holdout": 0.25, "seed": 0}
    assert json.loads((runs / "flow" / "data.json").read_text())["n"] == 60
    assert "part" not in json.loads((runs / "all" / "data.json").read_text())


def test_resuming_goes_on(cli, runs):
    words = ("fit", "real_nvp", runs / "points.npy", *SHORT, "--out", "run")
    assert cli(*words).code == 0
    ended = cli(*words, "--resume")
    assert ended.code == 0 and "resumed at step 4" in ended.out + ended.err
    assert "seed 0, got 9" in cli(*words, "--resume", "--seed", "9").error


def test_a_run_begins_from_another_and_says_so(cli, runs):
    words = ("fit", "real_nvp", runs / "points.npy", *SHORT)
    ended = cli(*words, "--init", runs / "flow", "--out", "tuned")
    assert f"init: 10 of 10 tensors reused from {runs / 'flow'}; new: none; units taken over" in ended.out
    assert cli(*words, "--init", "nowhere").error == "expected a run folder, found none at nowhere"
    assert cli(*words, "--init", runs / "flow", "--out", "tuned", "--resume").out.startswith("resumed at step 4\n")


def test_a_configuration_repeats_where_its_run_began(cli, runs):
    assert cli("fit", "real_nvp", runs / "points.npy", *SHORT, "--init", runs / "flow", "--out", "tuned").code == 0
    shutil.copytree("tuned", "kept")
    again = cli("fit", "--config", "tuned", "--out", "again", "--quiet")
    assert "tensors reused from" in again.out
    for found, value in zip(load("again").parameters(), load("tuned").parameters(), strict=True):
        assert torch.equal(found, value)
    for change, says in (
        ({"digest": "0"}, "changed since: say --init"),
        ({"from": "gone"}, "no folder here: say --init"),
    ):
        config = json.loads(Path("kept/config.json").read_text())
        config["fit"]["init"] |= change
        Path("tuned/config.json").write_text(json.dumps(config))
        assert says in cli("fit", "--config", "tuned", "--out", "other", "--quiet").error
        said = cli("fit", "--config", "tuned", "--init", runs / "flow", "--out", "other", "--quiet")
        assert said.code == 0, said.err


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_ends_with_the_command_that_goes_on(cli, runs, monkeypatch, name, code):
    def instead(model, x, **options):
        raise Interrupted(name, 7, options["out"])

    monkeypatch.setattr(training, "fit", functools.wraps(training.fit)(instead))
    words = ("fit", "real_nvp", runs / "points.npy", *SHORT, "--out", "my run")
    for more in ((), ("--resume",)):
        ended = cli(*words, *more)
        assert ended.code == code and ended.out == ""
        again = f"fairway fit real_nvp {runs / 'points.npy'} {' '.join(SHORT)} --out 'my run' --resume"
        assert ended.err == f"stopped at step 7 by {name}; go on with: {again}\n"


def test_a_signal_before_the_first_step_ends_in_one_line(cli, runs, monkeypatch):
    def instead(model, x, **options):
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(training, "fit", functools.wraps(training.fit)(instead))
    ended = cli("fit", "real_nvp", runs / "points.npy", *SHORT)
    assert (ended.code, ended.out, ended.err) == (143, "", "stopped by SIGTERM\n")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_checkpoints_are_as_frequent_as_asked(told, cli, runs):
    assert told("real_nvp", "DATA", "--checkpoint-every", "7")["checkpoint_every"] == 7
    assert "checkpoint_every" not in told("real_nvp", "DATA")
    assert "checkpoint_every" in cli("fit", "gmm", runs / "points.npy", "--checkpoint-every", "0").error


def test_trackers_write_into_the_run_folder(cli, runs):
    ended = cli("fit", "real_nvp", runs / "points.npy", *SHORT, "--out", "run", "--log", "tensorboard")
    assert ended.code == 0 and list(Path("run/tensorboard").glob("events.out.tfevents.*"))


def test_an_unknown_tracker_is_named(cli, runs):
    ended = cli("fit", "real_nvp", runs / "points.npy", *SHORT, "--log", "tensorboard,mlflow")
    assert ended.error == "expected --log with tensorboard or wandb, got 'mlflow'"
    monitors = cli("fit", "real_nvp", "--help").out
    assert "--log LOG" in monitors and "tensorboard, wandb, or both" in monitors


def test_a_tracker_without_its_package_is_told_before_the_training(cli, runs, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    ended = cli("fit", "real_nvp", runs / "points.npy", *SHORT, "--out", "run", "--log", "wandb")
    assert ended.code == 1 and "pip install 'fairway[wandb]'" in ended.err and not Path("run").exists()


def test_a_configuration_repeats_a_run_bit_for_bit(cli, runs):
    """The data, the rows kept back and every option come from the earlier run."""
    assert cli("fit", "--config", runs / "flow" / "config.json", "--out", "again", "--quiet").code == 0
    for name in ("again/config.json", "again/data.json"):
        found, wanted = (json.loads(path.read_text()) for path in (Path(name), runs / "flow" / name[6:]))
        assert {**found, "history": 0} == {**wanted, "history": 0}
    for found, value in zip(load("again").parameters(), load(runs / "flow").parameters(), strict=True):
        assert torch.equal(found, value)


def test_a_configuration_with_overrides(told, runs):
    config = ("--config", str(runs / "flow"))
    kept = told(*config)
    assert kept["hidden"] == (4,) and kept["transforms"] == 2 and kept["steps"] == 4 and kept["objective"] == "mle"
    assert told(*config, "--hidden", "8") == {**kept, "hidden": (8,)}
    assert told("real_nvp", "DATA", *config, "--seed=5") == {**kept, "seed": 5}
    longer = {key: value for key, value in kept.items() if key not in ("steps", "evaluate_every")}
    assert told(*config, "--budget", "5s") == {**longer, "budget": "5s"}
    assert told(*config, "--steps", "9") == {**longer, "steps": 9}


def test_a_conditional_configuration_asks_for_its_labels_again(told, runs):
    assert told("--config", str(runs / "made"))["context"] == "labels"


def test_another_objective_drops_the_old_ones_options(told, runs):
    kept = told("--config", str(runs / "gan"))
    assert kept["objective"] == "adversarial" and kept["objective.critic_hidden"] == (4,)
    assert not [key for key in told("--config", str(runs / "gan"), "--objective", "mle") if "." in key]


def test_parts_that_no_option_can_carry_are_kept(told, runs, tmp_path):
    """A network in the configuration comes back as the network it names."""
    config = json.loads((runs / "gan" / "config.json").read_text())
    mlp = {"network": "mlp", "inputs": 2, "outputs": 2, "hidden": [3]}
    config = {**config, "model": "ebm", "arguments": {"network": {**mlp, "outputs": 1}}, "objective": None}
    (tmp_path / "config.json").write_text(json.dumps(config))
    network = told("--config", str(tmp_path / "config.json"), "DATA")["network"]
    assert type(network).__name__ == "MLP" and network.arguments["hidden"] == (3,)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("", "expected MODEL and DATA, got none; models: "),
        ("real_nvpp DATA", "no model named 'real_nvpp'; did you mean 'real_nvp'?"),
        ("os.system DATA", "no model named 'os.system'; known: "),
        ("../../evil DATA", "no model named '../../evil'; known: "),
        ("--steps 5 gmm DATA", "expected MODEL first, as in `fairway fit "),
        ("gmm", "expected DATA: a data set's name, or a path"),
        ("gmm moonz", "did you mean the dataset 'moons'?"),
        ("gmm nowhere.csv", "expected the name of a dataset or an existing path, got 'nowhere.csv'"),
        ("gmm DATA extra", "expected DATA and options, got also 'extra'"),
        ("gmm DATA --component 3", "no option --component; did you mean '--components'?"),
        ("gmm DATA --components three", "expected --components as a whole number, got 'three'"),
        ("gmm DATA --components 0", "expected components as a positive integer, got 0"),
        ("gmm DATA --covariance ful", "expected --covariance as one of full, tied, diagonal, spherical, got 'ful'"),
        ("gmm DATA --steps abc", "expected --steps as a whole number or none, got 'abc'"),
        ("gmm DATA --steps 1.5", "expected --steps as a whole number or none, got '1.5'"),
        ("gmm DATA --steps", "expected a value after --steps, got none"),
        ("gmm DATA --steps -1", "expected steps as an integer of at least 1, got -1"),
        ("gmm DATA --budget soon", "expected a budget such as 30s, 2m or a number of seconds, got 'soon'"),
        ("gmm DATA --resume=maybe", "expected --resume without a value, got 'maybe'"),
        ("gmm DATA --dtype int8", "expected dtype as float32 or float64, got 'int8'"),
        ("gmm DATA --holdout 2", "expected a fraction between 0 and 1 to hold out, got 2.0"),
        ("gmm DATA --context labels", "expected context as an array, or 'labels' for data that have them"),
        ("gmm DATA --objective emm", "no objective named 'emm'; did you mean 'em'?"),
        ("gmm DATA --objective os.system", "no objective named 'os.system'"),
        ("gmm DATA --objective", "expected a value after --objective, got none"),
        ("gmm DATA --objective.iteration 3", "no option --objective.iteration; did you mean '--objective.iterations'?"),
        (
            "real_nvp DATA --hidden 8,x",
            "expected --hidden as whole numbers with commas between, such as 64,64 or none",
        ),
        ("gmm DATA --config nowhere", "expected a file nowhere"),
        ("gmm DATA --config RUN", "expected the configuration's model 'real_nvp', got 'gmm'; leave it out"),
        ("wgan_gp DATA --objective.divergence x", "expected divergence among"),
    ],
)
def test_mistakes(cli, runs, words, line):
    places = {"DATA": str(runs / "points.npy"), "RUN": str(runs / "flow")}
    assert line in cli("fit", *(places.get(word, word) for word in words.split())).error


def test_a_class_among_the_values_is_only_text(cli, runs, monkeypatch):
    monkeypatch.setattr("os.system", lambda command: pytest.fail(f"ran {command}"))
    part = '{"class_path": "os.system", "init_args": {"command": "touch hacked"}}'
    for option in ("--budget", "--hidden", "--dropout", "--steps", "--dtype", "--context"):
        assert "expected" in cli("fit", "real_nvp", runs / "points.npy", option, part).error


# -- data on disk ---------------------------------------------------------------------------------------------------
def test_data_that_stay_on_disk(cli, tmp_path, monkeypatch):
    """Shards are streamed, a .npy file is mapped; the run says so, and a run with its configuration does it again."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).normal(size=(60, 2))
    (tmp_path / "shards").mkdir()
    pq.write_table(pa.table({"a": x[:, 0], "b": x[:, 1]}), "shards/0.parquet")
    np.save("x.npy", x)
    for data, out in (("shards", "one"), ("x.npy", "two")):
        assert cli("fit", "real_nvp", data, "--stream", *SHORT, "--out", out).code == 0
        record = json.loads(Path(out, "data.json").read_text())
        assert record["options"] == {"stream": True} and record["n"] == 60
    assert cli("fit", "--config", "one/config.json", "--quiet", "--out", "again").code == 0
    assert json.loads(Path("again", "data.json").read_text())["options"] == {"stream": True}
    refused = cli("fit", "real_nvp", "shards", *SHORT, "--out", "three")
    assert refused.code != 0 and "stream them" in refused.err
