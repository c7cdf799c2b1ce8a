"""Killed anywhere, a resumed run ends where the uninterrupted one does, in every bit."""

import errno
import logging
import os
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Stage
from fairway.core.random import seeded
from fairway.models.classical.mixture import GMM
from fairway.models.diffusion.flow_matching import FlowMatching
from fairway.models.flow.real_nvp import RealNVP
from fairway.objectives.em import EM
from fairway.objectives.mle import MLE
from fairway.objectives.reflow import Reflow
from fairway.objectives.registry import objectives
from fairway.objectives.views import InstanceNoise
from fairway.training import checkpoint
from fairway.training.callbacks import Callback
from fairway.training.files import BrokenFolder, read_json, write_json
from fairway.training.fit import fit
from fairway.training.history import read_rows
from fairway.training.plan import Plan
from fairway.training.resume import ENVIRONMENT, STARTED, begin, keep_the_place, last_of, refuse_another_plan
from fairway.training.run_folder import load


class Killed(BaseException):
    """Nothing catches it, like a power cut."""


class Kill(Callback):
    def __init__(self, step, stage=0):
        self.step, self.stage = step, stage

    def on_step(self, run):
        if (run.step, run.plan.stage) == (self.step, self.stage):
            raise Killed


def state(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def losses(folder):
    """The journal without the clock."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in read_rows(folder / "metrics.jsonl")]


@pytest.fixture
def said(caplog):
    """What was said since this was last called."""
    caplog.set_level(logging.INFO, logger="fairway")

    def since():
        lines = list(caplog.messages)
        caplog.clear()
        return lines

    return since


def killed_and_resumed(folder, said, kills, model, x, **options):
    """Fit with power cuts at the steps given; returns the model and the steps it was resumed at."""
    make = model if callable(model) else lambda: model
    for number, kill in enumerate(kills):
        with pytest.raises(Killed):
            fit(make(), x, out=folder, resume=number > 0, callbacks=[kill], **options)
    said()
    fitted = fit(make(), x, out=folder, resume=True, **options)
    return fitted, int(said()[-1].removeprefix("resumed at step "))


GRADIENT = {
    "monitored": ("real_nvp", {"transforms": 2, "hidden": (8,), "batch_size": 32, "evaluate_every": 20}),
    "averaged, nothing held out": ("real_nvp", {"transforms": 2, "hidden": (8,), "batch_size": 32, "validation": 0}),
    "dropout": ("real_nvp", {"transforms": 2, "hidden": (8,), "batch_size": 32, "dropout": 0.3}),
    "two players": ("wgan_gp", {"hidden": (8,), "critic_hidden": (8,), "critic_steps": 2, "evaluate_every": 60}),
    "noise": ("vae", {"hidden": (8,), "batch_size": 16, "evaluate_every": 30}),
}


@pytest.mark.parametrize("name", list(GRADIENT))
def test_gradient_runs_resume_bit_for_bit(name, x, tmp_path, said):
    model, options = GRADIENT[name]
    whole = fit(model, x, steps=120, out=tmp_path / "whole", **options)
    kills = sorted(random.Random(name).sample(range(51, 120), 2))
    resumed, step = killed_and_resumed(tmp_path / "cut", said, [Kill(k) for k in kills], model, x, steps=120, **options)
    assert step == (100 if kills[-1] > 100 else 50)
    assert same(state(resumed), state(whole))
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    assert (resumed.history.best, resumed.history.best_step) == (whole.history.best, whole.history.best_step)
    assert resumed.history.curve("loss") == whole.history.curve("loss")


@pytest.mark.parametrize("missing", [False, True])
def test_solvers_resume_bit_for_bit(missing, x, tmp_path, said):
    x = x.double()
    if missing:
        x[::5, 1] = torch.nan
    options = {"components": 3, "tolerance": 1e-12, "iterations": 140}
    whole = fit("gmm", x, out=tmp_path / "whole", **options)
    assert whole.history.steps > 60
    resumed, step = killed_and_resumed(tmp_path / "cut", said, [Kill(30), Kill(57)], "gmm", x, **options)
    assert step == 50
    assert resumed.history.steps == whole.history.steps and resumed.history.stopped == whole.history.stopped
    assert same(state(resumed), state(whole))
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")


def test_no_more_than_one_interval_is_repeated(x, tmp_path, said):
    """As asked for: the log has no later row than the next checkpoint."""
    options = {"transforms": 2, "hidden": (8,), "batch_size": 32, "checkpoint_every": 7}
    whole = fit("real_nvp", x, steps=60, out=tmp_path / "whole", **options)
    with pytest.raises(Killed):
        fit("real_nvp", x, steps=60, out=tmp_path / "cut", callbacks=[Kill(34)], **options)
    assert max(row["step"] for row in read_rows(tmp_path / "cut" / "metrics.jsonl")) == 28
    (tmp_path / "cut" / "training" / ".checkpoint.safetensors.12.tmp").write_bytes(b"half of one")
    taken = []

    class Spy(Callback):
        def on_step(self, run):
            taken.append(run.step)

    said()
    resumed = fit("real_nvp", x, steps=60, out=tmp_path / "cut", resume=True, callbacks=[Spy()], **options)
    assert said() == ["resumed at step 28"] and taken == list(range(29, 61))
    assert same(state(resumed), state(whole)) and losses(tmp_path / "cut") == losses(tmp_path / "whole")
    assert [p.name for p in (tmp_path / "cut" / "training").glob(".*")] == []


def test_a_finished_run_resumes_to_the_same_model(x, small, tmp_path, said):
    whole = fit("real_nvp", x, steps=20, out=tmp_path, **small)
    steps = []

    class Spy(Callback):
        def on_step(self, run):
            steps.append(run.step)

    again = fit("real_nvp", x, steps=20, out=tmp_path, resume=True, callbacks=[Spy()], **small)
    assert said() == ["resumed at step 20"] and steps == []
    assert same(state(again), state(whole))


@pytest.fixture
def two_threads():
    """A machine on which there is something to measure."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_what_a_budget_measured_is_repeated(x, small, tmp_path, monkeypatch, two_threads):
    """Steps, threads and evaluations come with the checkpoint, end in config.json, and given they repeat the run."""

    def buy(plan, *costs):
        plan.steps, plan.evaluate_every = 120, 30

    def again(plan, *costs):
        raise AssertionError("a resumed run measured again")

    monkeypatch.setattr(Plan, "buy", buy)
    with pytest.raises(Killed):
        fit("real_nvp", x, budget="9m", out=tmp_path, callbacks=[Kill(110)], **small)
    then = checkpoint.read(tmp_path)[1]["plan"]
    monkeypatch.setattr(Plan, "buy", again)
    model = fit("real_nvp", x, budget="9m", out=tmp_path, resume=True, **small)
    chosen = read_json(tmp_path / "config.json")["fit"]
    given = {name: chosen[name] for name in ("steps", "threads", "evaluate_every")}
    assert given == {"steps": 120, "threads": then["threads"], "evaluate_every": 30}
    assert model.history.steps == 120 and then["threads"] in (1, 2)
    assert same(state(model), state(fit("real_nvp", x, **given, **small)))


# -- every objective ------------------------------------------------------------------------------------------------
def bowl(u):
    """A log density to fit to."""
    return -u.square().sum(1)


NETS = {"hidden": (8,), "batch_size": 32}
GAN = {**NETS, "critic_hidden": (8,), "critic_steps": 2, "objective": "adversarial"}
CELLS = (torch.arange(200 * 64) % 11).reshape(200, 8, 8)  # pictures beside pictures
LEARNERS = {
    "mle": ("real_nvp", {**NETS, "transforms": 2, "dropout": 0.2}),
    "em": ("gmm", {"components": 3, "tolerance": -1.0}),
    "counts": ("independent", {}),
    "elbo": ("vae", {**NETS, "warm_up": 20}),
    "adversarial": ("wgan_gp", {**GAN, "divergence": "wasserstein", "penalty": "gradient"}),
    "adversarial, non-saturating": ("wgan_gp", {**GAN, "divergence": "non_saturating", "penalty": "none"}),
    "adversarial, a weight that falls": ("wgan_gp", {**GAN, "penalty": "r1_r2", "weight": (1.0, 0.1)}),
    "adversarial, through views": ("wgan_gp", {**GAN, "views": (InstanceNoise(0.5, fade=15),)}),
    "packing": ("pac_gan", {**NETS, "critic_hidden": (8,)}),
    "unrolled": ("unrolled_gan", {**NETS, "critic_hidden": (8,), "unroll": 2}),
    "feature_matching": ("gan", {**NETS, "critic_hidden": (8,), "objective": "feature_matching"}),
    "progressive": ("progan", {**NETS, "hidden": (8, 8), "latent": 4, "grow": 4}),
    "orthogonal": ("biggan", {**NETS, "latent": 4}),
    "bidirectional": ("bigan", {**NETS, "critic_hidden": (8,)}),
    "veegan": ("veegan", {**NETS, "critic_hidden": (8,)}),
    "paired": ("pix2pix", {**NETS, "latent": 2, "context": CELLS}),
    "cycle": ("cycle_gan", {**NETS, "latent": 2, "blocks": 1, "context": CELLS[:150], "paired": False, "pool": 40}),
    "persistent": ("ebm", {**NETS, "chains": 64, "objective.steps": 2, "reborn": 0.1}),
    "contrastive_divergence": ("ebm", {**NETS, "objective": "contrastive_divergence", "objective.steps": 2}),
    "mle_mcmc": ("ebm", {**NETS, "objective": "mle_mcmc", "objective.steps": 2, "jumps": 1}),
    "nce": ("ebm", {**NETS, "objective": "nce"}),
    "nce, cut in the stage of its reference": ("ebm", {**NETS, "objective": "nce", "reference": "gmm"}),
    "nce, against a rival": ("ebm", {**NETS, "objective": "nce", "reference": "gaussian", "rival": True}),
    "score_matching": ("ebm", {**NETS, "objective": "score_matching"}),
    "denoising_score_matching": ("ebm", {**NETS, "objective": "denoising_score_matching", "sigma": 0.3}),
    "response_matching": ("frame", {"batch_size": 32, "chains": 64, "objective.steps": 2}),
    "joint_energy": ("joint", {**NETS, "chains": 64, "objective.steps": 2, "context": torch.arange(200) % 3}),
    "flow_matching": ("flow_matching", NETS),
    "flow_matching, by transport": ("flow_matching", {**NETS, "coupling": "optimal_transport"}),
    "interpolation": ("interpolant", {**NETS, "source": [[0.0, 1.0], [2.0, 3.0]], "noise": 0.5}),
    "reflow": ("flow_matching", {**NETS, "objective": Reflow(FlowMatching(Event((2,)), hidden=(8,)), 40, 2)}),
    "denoising": ("edm", NETS),
    "hybrid_denoising": ("ddpm", {**NETS, "levels": 30, "learned_variance": True}),
    "sliced_score_matching": ("ebm", {**NETS, "objective": "sliced_score_matching"}),
    "sliced_score_matching, at noise levels": ("ncsn", {**NETS, "objective": "sliced_score_matching"}),
    "kinetic_mle": ("cnf", {**NETS, "objective": "kinetic_mle"}),
    "noisy_mle": ("maf", {**NETS, "objective": "noisy_mle"}),
    "unbiased_mle": ("i_resnet", {**NETS, "transforms": 2}),
    "reverse_kl": ("real_nvp", {**NETS, "transforms": 2, "objective": "reverse_kl", "target": bowl, "warm_up": 6}),
}


def test_every_objective_is_resumed_below():
    assert {name.partition(",")[0] for name in LEARNERS} == set(objectives)


@pytest.mark.parametrize("name", list(LEARNERS))
def test_whatever_an_objective_remembers_is_resumed(name, x, tmp_path, said):
    """Critics, chains, averages, moments, statistics: the last checkpoints are equal, not the weights alone."""
    model, options = LEARNERS[name]
    if name == "counts":
        x = (x > x.mean(0)).byte()
    if name in ("progressive", "orthogonal", "paired", "cycle"):  # their models draw pictures
        x = x.repeat(1, 32).reshape(-1, 8, 8)
    last = 1 if name == "counts" else 9

    class Cut(Callback):
        def on_step(self, run):
            if run.step == (last + 1) // 2:
                checkpoint.write(run.out, run.state())
                raise Killed

    options = {"steps": last, "seed": 3, **options}
    whole = fit(model, x, out=tmp_path / "whole", **options)
    with pytest.raises(Killed):
        fit(model, x, out=tmp_path / "cut", callbacks=[Cut()], **options)
    said()
    resumed = fit(model, x, out=tmp_path / "cut", resume=True, **options)
    assert said() == [f"resumed at step {(last + 1) // 2}"]
    assert same(state(resumed), state(whole))
    (one, counters), (other, others) = checkpoint.read(tmp_path / "whole"), checkpoint.read(tmp_path / "cut")
    assert same(one, other)
    assert {**counters, "spent": 0, "plan": 0} == {**others, "spent": 0, "plan": 0}


# -- stages ---------------------------------------------------------------------------------------------------------
class Staged(RealNVP):
    """Two stages of gradient descent after one of a solver on a part of its own."""

    def __init__(self, event):
        super().__init__(event, transforms=2, hidden=(8,))
        self.start = GMM(event, components=2)

    def stages(self, objective=None):
        return [
            Stage("first", self, MLE(), steps=60),
            Stage("second", self, objective or MLE(), steps=70),
        ]


@pytest.fixture
def staged(monkeypatch):
    from fairway.models.registry import models

    monkeypatch.setattr(models, "_table", dict(models._table))
    monkeypatch.setattr(models, "_objects", dict(models._objects))
    models.register("staged", Staged)

    def build():
        with seeded(0):
            return Staged(Event((2,)))

    return build


@pytest.mark.parametrize(("kill", "at"), [(Kill(57, 0), 50), (Kill(20, 1), 60), (Kill(63, 1), 50)])
def test_stages_resume_where_they_were(kill, at, staged, x, tmp_path, said):
    options = {"batch_size": 32, "evaluate_every": 30}
    whole = fit(staged(), x, out=tmp_path / "whole", **options)
    resumed, step = killed_and_resumed(tmp_path / "cut", said, [kill], staged, x, **options)
    assert step == at
    assert same(state(resumed), state(whole))
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    rows = read_rows(tmp_path / "cut" / "metrics.jsonl")
    assert [(r.get("stage", 0), r["step"]) for r in rows if "loss" in r] == [(0, 50), (0, 60), (1, 50), (1, 70)]
    assert [row["step"] for row in resumed.history.rows] == [row["step"] for row in rows if row.get("stage")]


# -- full disks -----------------------------------------------------------------------------------------------------
class Full:
    """The disk is full at the k-th call of a function."""

    def __init__(self, monkeypatch, owner, name, at, only=lambda *args: True):
        self.calls, real = 0, getattr(owner, name)

        def call(*args, **kwargs):
            self.calls += only(*args)
            if only(*args) and self.calls == at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)


SHORT = {"steps": 6, "checkpoint_every": 2, "transforms": 2, "hidden": (4,), "batch_size": 32}
SYNCS = 2 * 10  # a file and its folder: two notes on the start, the log, three checkpoints, the four files of the run


def test_everything_that_is_written_is_synced_but_rows_of_the_log(x, tmp_path, monkeypatch):
    disk = Full(monkeypatch, os, "fsync", at=0)
    fit("real_nvp", x, out=tmp_path, **SHORT)
    assert disk.calls == SYNCS


@pytest.mark.parametrize("at", range(1, SYNCS + 1))
def test_wherever_the_disk_is_full_a_resume_ends_in_the_same_bits(x, tmp_path, monkeypatch, at):
    """One error that names a file, or the last checkpoint; then space is made, and the run goes on."""
    with monkeypatch.context() as patched:
        Full(patched, os, "fsync", at)
        with pytest.raises(OSError, match=r"No space left on device: .*|the checkpoint of step \d in .* not written"):
            fit("real_nvp", x, out=tmp_path, **SHORT)
    assert not list(tmp_path.rglob(".*"))
    resumed = fit("real_nvp", x, out=tmp_path, resume=True, **SHORT)
    assert same(state(resumed), state(fit("real_nvp", x, **SHORT)))
    assert same(state(load(tmp_path)), state(resumed))


def test_a_full_disk_at_a_row_of_the_log(x, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        Full(patched, Path, "open", 2, only=lambda path, mode="r", *rest: mode == "a")
        with pytest.raises(OSError, match=r"No space left on device: .*metrics\.jsonl"):
            fit("real_nvp", x, out=tmp_path, **SHORT)
    resumed = fit("real_nvp", x, out=tmp_path, resume=True, **SHORT)
    assert same(state(resumed), state(fit("real_nvp", x, **SHORT)))
    assert [row["step"] for row in read_rows(tmp_path / "metrics.jsonl")] == [2, 4, 6]


def test_a_full_disk_stops_a_solver_with_its_last_checkpoint(x, tmp_path, monkeypatch):
    options = {"components": 3, "tolerance": -1.0, "steps": 8, "checkpoint_every": 3}
    with monkeypatch.context() as patched:
        Full(patched, os, "fsync", 9)  # after the start's three files: the second checkpoint
        with pytest.raises(checkpoint.NotWritten, match=r"step 6 in .*; its last one is of step 3"):
            fit("gmm", x, out=tmp_path, **options)
    assert checkpoint.read(tmp_path)[1]["step"] == 3
    assert same(state(fit("gmm", x, out=tmp_path, resume=True, **options)), state(fit("gmm", x, **options)))


LIMITED = """
import resource, sys
from fairway.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
sys.exit(main())
"""


def test_a_limit_on_files_ends_a_process_with_one_line(tmp_path):
    """The system's own error, at the first file that is too large: a checkpoint, with the moments of the optimiser."""
    words = ["fit", "made", "moons", "--steps", "60", "--hidden", "64,64", "--quiet", "--out", "run"]
    done = subprocess.run([sys.executable, "-c", LIMITED, *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert "the checkpoint of step 50 in run was not written (File too large); it has none yet" in done.stderr
    assert not list(tmp_path.rglob(".*")) and not list(tmp_path.rglob("*.safetensors"))


# -- what must be the same ------------------------------------------------------------------------------------------
@pytest.fixture
def cut(x, small, tmp_path):
    with pytest.raises(Killed):
        fit("real_nvp", x, steps=100, out=tmp_path, callbacks=[Kill(60)], **small)
    return tmp_path


def test_changed_data_are_an_error(cut, x, small):
    x[3, 0] += 1e-3
    with pytest.raises(BrokenFolder, match="the data changed since"):
        fit("real_nvp", x, steps=100, out=cut, resume=True, **small)


@pytest.mark.parametrize("extra", ["context", "weights"])
def test_changed_context_and_weights_are_changed_data(extra, x, small, tmp_path):
    given = {extra: torch.rand(len(x), 1 if extra == "context" else ()) if extra == "context" else torch.rand(len(x))}
    with pytest.raises(Killed):
        fit("real_nvp", x, steps=100, out=tmp_path, callbacks=[Kill(60)], **given, **small)
    other = {extra: given[extra] + 0.5}
    with pytest.raises(BrokenFolder, match="the data changed since"):
        fit("real_nvp", x, steps=100, out=tmp_path, resume=True, **other, **small)
    fit("real_nvp", x, steps=100, out=tmp_path, resume=True, **given, **small)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seed": 1}, "was started with seed 0, got 1"),
        ({"validation": 0.2}, "was started with validation 0.1, got 0.2"),
        ({"hidden": (9,)}, "was started with model"),
        ({"steps": 200}, "expected steps=100, which this run was started with, got steps=200"),
        ({"batch_size": 16}, "expected batches of 32 rows"),
        ({"lr": 1e-4}, "expected lr=None"),
    ],
)
def test_other_options_are_an_error(cut, x, small, change, says):
    with pytest.raises(ValueError, match=says):
        fit("real_nvp", x, **{"steps": 100, "out": cut, "resume": True, **small, **change})


@pytest.mark.parametrize("change", [{"dtype": "float64"}, {"preprocess": False}], ids=["precision", "units"])
def test_other_units_or_precision_are_an_error(cut, x, small, change):
    with pytest.raises(BrokenFolder, match=r"was started with (dtype float32|preprocess .*standardise.*), got"):
        fit("real_nvp", x, steps=100, out=cut, resume=True, **small, **change)


@pytest.mark.parametrize("name", ["evaluate_every", "checkpoint_every"])
def test_other_intervals_are_an_error(cut, x, small, name):
    with pytest.raises(ValueError, match=f"expected {name}=.*, which this run was started with, got {name}=7"):
        fit("real_nvp", x, steps=100, out=cut, resume=True, **small, **{name: 7})


@pytest.mark.parametrize(("name", "value"), [("torch", "1.0.0"), ("fairway", "0.0.1")])
def test_another_version_is_said_and_goes_on(cut, x, small, said, name, value):
    started = read_json(cut / ENVIRONMENT)
    write_json(cut / ENVIRONMENT, {**started, name: value})
    fit("real_nvp", x, steps=100, out=cut, resume=True, **small)
    first, second = said()
    assert first.startswith(f"started with {name} {value}, goes on with {name} {started[name]}: the bits may differ")
    assert second == "resumed at step 50"


def test_the_threads_of_a_run_are_kept(cut, x, small):
    """Sums over other shares of the rows round otherwise."""
    write_json(cut / ENVIRONMENT, {**read_json(cut / ENVIRONMENT), "threads": 2})
    seen = set()

    class Spy(Callback):
        def on_step(self, run):
            seen.add(torch.get_num_threads())

    model = fit("real_nvp", x, steps=100, out=cut, resume=True, callbacks=[Spy()], **small)
    assert seen == {2} and model.history.threads == 2 and torch.get_num_threads() == 1


@pytest.mark.parametrize(("world", "size", "fits"), [(2, 16, True), (1, 32, True), (2, 32, False), (1, 16, False)])
def test_other_processes_share_the_same_batch(world, size, fits):
    """Two processes of 16 rows go on with what one of 32 began."""
    then = Plan(100, None, 32, 0).to_dict()
    now = Plan(100, None, size, 0, world=world)
    if fits:
        refuse_another_plan(now, then)
        run = SimpleNamespace(plan=Plan(**then))
        keep_the_place(run, now, {"threads": 3})
        assert (run.plan.world, run.plan.batch_size, run.plan.threads) == (world, size, 3)
    else:
        with pytest.raises(ValueError, match=f"expected batches of 32 rows .* got {size} x {world}"):
            refuse_another_plan(now, then)


def test_a_fresh_start_forgets_an_older_run(cut, x, small, said):
    """Killed before its first checkpoint, the new run must not go on from the old one's."""
    with pytest.raises(Killed):
        fit("real_nvp", x, steps=100, out=cut, callbacks=[Kill(10)], **small)
    model = fit("real_nvp", x, steps=100, out=cut, resume=True, **small)
    assert said() == ["resumed at step 0"]
    assert same(state(model), state(fit("real_nvp", x, steps=100, **small)))


def test_resuming_nothing_starts(x, small, tmp_path, said):
    fit("real_nvp", x, steps=5, out=tmp_path / "new", resume=True, **small)
    assert said() == ["resumed at step 0"]
    with pytest.raises(ValueError, match="expected out=FOLDER with resume=True"):
        fit("real_nvp", x, steps=5, resume=True, **small)


def test_a_running_run_leaves_the_last_finished_one_readable(x, small, tmp_path):
    first = fit("real_nvp", x, steps=5, out=tmp_path, **small)
    with pytest.raises(Killed):
        fit("real_nvp", x, steps=100, out=tmp_path, callbacks=[Kill(60)], **small)
    assert same(state(load(tmp_path)), state(first))


# -- damaged --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("keep", [0, 100, -1])
def test_a_damaged_checkpoint_is_refused(cut, x, small, keep):
    path = cut / checkpoint.PLACE
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BrokenFolder, match="truncated"):
        fit("real_nvp", x, steps=100, out=cut, resume=True, **small)


@pytest.mark.parametrize("part", [0, 1], ids=["tensors", "counters"])
def test_a_checkpoint_of_something_else_is_refused(cut, x, small, part):
    state = checkpoint.read(cut)
    del state[part]["drawn" if part else next(name for name in state[0] if name.startswith("model."))]
    checkpoint.write(cut, state)
    with pytest.raises(BrokenFolder, match=r"the checkpoint in .* does not fit"):
        fit("real_nvp", x, steps=100, out=cut, resume=True, **small)


def test_a_solver_may_go_on_for_longer(x, tmp_path, said):
    options = {"components": 3, "tolerance": -1.0, "out": tmp_path}
    fit("gmm", x, steps=10, **options)
    longer = fit("gmm", x, steps=15, resume=True, **options)
    assert said() == ["resumed at step 10"]
    assert longer.history.steps == 15
    assert same(state(longer), state(fit("gmm", x, components=3, tolerance=-1.0, steps=15)))
    assert isinstance(longer.default_objective(), EM)


def test_a_second_process_of_a_resumed_run_touches_nothing(x, small, tmp_path):
    """What looks like the rest of a killed write may be the first process's writing of this moment."""
    model = fit("real_nvp", x, steps=2, out=tmp_path, **small)
    halves = [tmp_path / ".metrics.jsonl.123.tmp", tmp_path / "training" / ".checkpoint.safetensors.123.tmp"]
    for half in halves:
        half.write_text("half")
    entry = read_json(tmp_path / STARTED)
    assert last_of(tmp_path, entry)[1]["step"] == model.history.steps
    assert all(half.exists() for half in halves)
    assert begin(tmp_path, entry, True)[1]["step"] == model.history.steps
    assert not any(half.exists() for half in halves)
