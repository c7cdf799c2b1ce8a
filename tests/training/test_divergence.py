"""Runs that leave the finite numbers: stopped with step, term and last good checkpoint; nothing half-written."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from fairway.cli.entry import run
from fairway.core.objective import Loss
from fairway.objectives.mle import MLE
from fairway.training import checkpoint
from fairway.training.callbacks import Callback
from fairway.training.fit import fit
from fairway.training.guard import Diverged
from fairway.training.run_folder import load

SMALL = {
    "made": {"hidden": (16,)},
    "vae": {"hidden": (16,)},
    "real_nvp": {"hidden": (16,), "transforms": 4},
    "wgan_gp": {"hidden": (16,), "critic_hidden": (16,)},
    "flow_matching": {"hidden": (16,)},
    "ebm": {"hidden": (16,), "chains": 128},
}
TERMS = {
    "made": "nll",
    "vae": "reconstruction",
    "real_nvp": "nll",
    "wgan_gp": "critic",
    "flow_matching": "velocity_error",
    "ebm": "energy_gap",
}  # what a cell that no model can hold breaks first


def points(n=400, scale=(40.0, 3e-3), shift=(1e3, 0.0)):
    noise = torch.randn(n, 2, generator=torch.Generator().manual_seed(0))
    return noise * torch.tensor(scale) + torch.tensor(shift)


def finite(tensors):
    return all(bool(value.isfinite().all()) for value in tensors.values() if value.is_floating_point())


def whole(folder):
    """Nothing half-written: every file has its own name, every row of the log is complete, the checkpoint is finite.

    Returns the step of the checkpoint, None where there is none.
    """
    assert not [path for path in folder.rglob("*") if path.name.startswith(".") or path.name.endswith(".tmp")]
    log = folder / "metrics.jsonl"
    assert all(np.isfinite(json.loads(line)["step"]) for line in log.read_text().splitlines())
    last = checkpoint.read(folder)
    assert last is None or finite(last[0])
    return None if last is None else last[1]["step"]


def usable(model, x):
    """Finite weights, draws and answers, in eval mode."""
    assert not model.training and finite(model.state_dict())
    assert bool(model.sample(16, generator=0).isfinite().all())
    ask = next((ask for ask in ("log_prob", "bound", "energy") if ask in model.capabilities), None)
    if ask is not None:
        given = {"generator": 0} if ask == "bound" else {}
        assert bool(getattr(model, ask)(x[:20], **given).isfinite().all()), ask


def diverged(folder, name, x, **options):
    """The error of a run that must diverge, after what every such run promises."""
    with pytest.raises(Diverged) as caught:
        fit(name, x, out=folder, **{**SMALL.get(name, {}), **options})
    error = caught.value
    usable(error.model, x)
    saved = whole(folder)
    where = "holds no checkpoint yet" if saved is None else f"the last good checkpoint is that of step {saved} in"
    assert where in str(error) and str(folder) in str(error)
    assert saved == (error.last_good or None) or saved > error.last_good  # best weights may be older than the last
    assert f"step {error.step}" in str(error) and error.term in str(error)
    assert not (folder / "config.json").exists() and not (folder / "weights.safetensors").exists()
    return error


# -- learning rates --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", list(SMALL))
def test_a_thousand_times_the_learning_rate_diverges_or_stays_finite(name, tmp_path):
    """Adam's steps are bounded by lr and the clip, so all models but the vae survive it."""
    x, lr = points(), {"made": 10.0, "vae": 3.0, "real_nvp": 2.0, "wgan_gp": 4.0, "flow_matching": 2.0, "ebm": 3.0}
    if name == "vae":
        assert diverged(tmp_path, name, x, steps=30, lr=lr[name]).step < 10
    else:
        usable(fit(name, x, steps=30, lr=lr[name], out=tmp_path, **SMALL[name]), x)
        assert whole(tmp_path) == 30


@pytest.mark.parametrize(
    ("name", "lr"),
    [("made", 1e6), ("real_nvp", 2e3), ("wgan_gp", 4e3), ("flow_matching", 2e3), ("ebm", 3e3), ("ebm", 1e6)],
)
def test_a_learning_rate_that_breaks_a_model_is_stopped_at_its_first_steps(name, lr, tmp_path):
    error = diverged(tmp_path, name, points(), steps=100, lr=lr)
    assert error.step < 10 and error.last_good == 0


def test_a_learning_rate_that_grows_too_large_leaves_the_checkpoint_of_before(tmp_path):
    """The warm-up reaches what the model cannot take after its first checkpoint."""
    error = diverged(tmp_path, "real_nvp", points(), steps=2000, lr=5.0)
    assert 50 < error.step < 100 and whole(tmp_path) == 50


@pytest.mark.parametrize("name", ["made", "real_nvp", "flow_matching"])
def test_weights_broken_by_a_move_are_no_good_state_though_its_loss_was_finite(name, tmp_path):
    """The move of the only step overflows: no later loss would tell."""
    error = diverged(tmp_path, name, points(), steps=1, lr=1e38)
    assert (error.step, error.last_good) == (0, 0) and error.term.startswith("model.")


def test_an_exploding_energy_is_stopped(tmp_path):
    error = diverged(tmp_path, "ebm", points(), steps=100, lr=300.0, penalty=0.0)
    assert error.term in ("energy_gap", "energy_size", "loss")


# -- numbers that are finite and beyond help ---------------------------------------------------------------------------
class Doomed(MLE):
    """Every number is fine, and it gives up once a count of its moves has passed a level in the mean of a window."""

    monitor = None
    count: torch.Tensor

    def __init__(self, level=75.0):
        super().__init__()
        self.level = level
        self.register_buffer("count", torch.zeros(()))

    def loss(self, batch, model, *, phase, generator):
        self.count += 1
        total, terms = super().loss(batch, model, phase=phase, generator=generator)
        return Loss(total, {**terms, "moves": self.count.clone()})

    def lost(self, means):
        return f"moves ({means['moves']:.1f}; take fewer)" if means["moves"] > self.level else None


def test_an_objective_that_says_it_is_lost_goes_back_to_the_last_row_of_the_log_and_stops(tmp_path):
    """Rows at 50 (mean 25.5) and 100 (mean 75.5): the second is refused, and the averages are those of step 50."""
    kept = {}

    class Keep(Callback):
        def on_step(self, run):
            if run.step in (50, 100):
                kept[run.step] = {name: value.clone() for name, value in run.average.shadow.items()}

    error = diverged(tmp_path, "made", points(), objective=Doomed(), steps=300, callbacks=[Keep()])
    assert (error.step, error.term, error.last_good) == (100, "moves", 50)
    assert "moves (75.5; take fewer)" in str(error) and "not finite" not in str(error)
    assert whole(tmp_path) == 50
    state = error.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in kept[50].items())
    assert not all(torch.equal(value, state[name]) for name, value in kept[100].items())
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [50] and error.model.history.stopped == "diverged at step 100"


def test_an_objective_that_is_never_lost_runs_to_its_end(tmp_path):
    assert fit("made", points(), objective=Doomed(1e9), steps=120, **SMALL["made"]).history.steps == 120


# -- data ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", list(SMALL))
def test_a_cell_that_no_model_can_hold_is_found_at_the_step_that_meets_it(name, tmp_path):
    """In model units already, so that no measurement of units takes it in."""
    x = points(8000 if name == "wgan_gp" else 2000, scale=(1.0, 1.0), shift=(0.0, 0.0))
    clean = x.clone()
    x[5 if name == "wgan_gp" else 1234, 1] = 1e30  # the order of the rows meets these after step 50
    with pytest.raises(Diverged) as caught:
        fit(name, x, steps=150, batch_size=16, validation=0, preprocess=False, out=tmp_path, **SMALL[name])
    error = caught.value
    assert error.term == TERMS[name] and 50 < error.step < 100
    assert error.last_good == 50 and whole(tmp_path) == 50
    usable(error.model, clean)


def test_missing_and_infinite_cells_are_refused_before_the_first_step(tmp_path):
    x = points()
    x[7, 1] = torch.inf
    with pytest.raises(ValueError, match=r"expected finite x, got an infinity at index \[7, 1\]"):
        fit("real_nvp", x, out=tmp_path / "run", **SMALL["real_nvp"])
    x[7, 1] = torch.nan
    with pytest.raises(ValueError, match="real_nvp cannot learn from NaN: impute or drop those rows"):
        fit("real_nvp", x, out=tmp_path / "run", **SMALL["real_nvp"])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", list(SMALL))
def test_a_cell_of_1e38_in_a_table_is_measured_like_any_other(name, tmp_path):
    """Units are measured in float64: the column loses its scale, and nothing else."""
    x = points()
    x[7, 1] = 1e38
    usable(fit(name, x, steps=10, out=tmp_path, **SMALL[name]), x)
    assert whole(tmp_path) == 10


# -- solvers -----------------------------------------------------------------------------------------------------------
def test_a_covariance_that_becomes_singular_is_stopped_at_the_last_state_that_worked(tmp_path):
    """Half of the rows are one point: a component shrinks onto it, and nothing keeps it open."""
    x = torch.cat([torch.zeros(100, 2), torch.randn(100, 2, generator=torch.Generator().manual_seed(0))])
    error = diverged(tmp_path, "gmm", x, components=5, floor=0.0, prior=0.0)
    assert error.term.startswith("matrix (") and error.step == error.last_good + 1
    assert whole(tmp_path) == error.last_good


def test_a_covariance_that_is_singular_from_the_start(tmp_path):
    line = torch.randn(100, 1, generator=torch.Generator().manual_seed(0)) @ torch.ones(1, 4)
    with pytest.raises(Diverged, match="matrix") as caught:
        fit("gmm", line, components=3, floor=0.0, prior=0.0, out=tmp_path)
    assert (caught.value.step, caught.value.last_good) == (0, 0) and finite(caught.value.model.state_dict())
    assert whole(tmp_path) is None


def test_by_default_a_solver_survives_both(tmp_path):
    line = torch.randn(100, 1, generator=torch.Generator().manual_seed(0)) @ torch.ones(1, 4)
    usable(fit("gmm", line, components=10), line)


# -- the command line --------------------------------------------------------------------------------------------------
def test_a_command_ends_with_one_line_that_names_step_term_and_checkpoint(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("points.npy", points().numpy())
    words = ["real_nvp", "points.npy", "--hidden", "16", "--transforms", "4", "--steps", "2000", "--lr", "5"]
    assert run(["fit", *words, "--out", "run", "--quiet"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and re.match(r"error: training diverged at step \d+: the term '", err)
    assert f"the last good checkpoint is that of step 50 in {Path('run') / checkpoint.PLACE}" in err


# -- afterwards --------------------------------------------------------------------------------------------------------
def test_an_earlier_model_in_the_folder_stays_as_it_was(tmp_path):
    x = points()
    first = fit("real_nvp", x, steps=5, out=tmp_path, **SMALL["real_nvp"])
    with pytest.raises(Diverged):
        fit("real_nvp", x, steps=100, lr=2e3, out=tmp_path, **SMALL["real_nvp"])
    for name, value in load(tmp_path).state_dict().items():
        assert torch.equal(value, first.state_dict()[name])


def test_the_same_data_without_the_cell_go_on_from_the_model_that_was_put_back(tmp_path):
    x = points(2000, scale=(1.0, 1.0), shift=(0.0, 0.0))
    broken = x.clone()
    broken[1234, 1] = 1e30
    options = {"batch_size": 16, "validation": 0, "preprocess": False, **SMALL["made"]}
    with pytest.raises(Diverged) as caught:
        fit("made", broken, steps=150, **options)
    tuned = fit("made", x, steps=20, init=caught.value.model, **options)
    assert tuned.history.curve("loss")[0][1] < 2
