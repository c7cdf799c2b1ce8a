"""The scripts on real data for flows: rows survive, and each script runs from its data to its verdict."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"
DATA = Path(os.environ.get("FAIRWAY_DATA") or ROOT.parent / "shared" / "data")


@pytest.fixture
def rows(monkeypatch, tmp_path):
    """The module, writing to a folder of its own."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    import _record
    import _rows

    monkeypatch.setattr(_record, "RESULTS", tmp_path)
    return _rows


def test_rows_are_replaced_by_their_keys_and_found_by_another_process(rows, tmp_path):
    mine = rows.Rows("example", ("model", "seed"), goal=3)
    for seed, nats in ((0, 1.0), (1, 2.0), (0, 5.0)):
        mine.put({"model": "nsf", "seed": seed, "nats": nats})
    found = json.loads((tmp_path / "example.json").read_text())
    assert [(row["seed"], row["nats"]) for row in found["rows"]] == [(1, 2.0), (0, 5.0)]
    assert found["goal"] == 3 and "commit" in found["machine"]
    other = rows.Rows("example", ("model", "seed"))
    assert other.has(model="nsf", seed=1) and not other.has(model="maf")
    other.forget()
    assert mine.all() == []


def test_a_taste_is_not_written(rows, tmp_path):
    taste = rows.Rows("example", ("model",), recorded=False)
    taste.put({"model": "nsf"})
    assert taste.has(model="nsf") and not list(tmp_path.iterdir())


def run(tmp_path, script, *options):
    """A script with a short budget, in a folder of its own."""
    if not DATA.is_dir():
        pytest.skip("FAIRWAY_DATA is not set")
    known = {**os.environ, "FAIRWAY_DATA": str(DATA), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, BENCHMARKS / f"reproduce_{script}.py", *options]
    return subprocess.run(command, cwd=tmp_path, env=known, capture_output=True, text=True)


@pytest.mark.slow
def test_patches(tmp_path):
    done = run(tmp_path, "bsds300", "--models", "real_nvp", "--budget", "100steps")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok   gaussian (closed form): 96.10" in done.stdout and "ok   real_nvp (100steps)" in done.stdout
    assert "maf: not run" in done.stdout and "MAF (5): 155.69" in done.stdout
    assert (tmp_path / "runs" / "bsds300" / "real_nvp-100steps" / "weights.safetensors").exists()


@pytest.mark.slow
def test_stability(tmp_path):
    asked = ["--models", "real_nvp", "--seeds", "3", "--datasets", "power_plant", "--budget", "400steps"]
    done = run(tmp_path, "stability", *asked)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok   real_nvp on power_plant, 1 seeds" in done.stdout


@pytest.mark.slow
def test_image_flows(tmp_path):
    done = run(tmp_path, "image_flows", "--data", "mnist", "--models", "real_nvp", "--budget", "5steps")
    assert done.returncode == 0, done.stderr
    picture = (tmp_path / "runs" / "image_flows" / "mnist_real_nvp.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) <= 200_000


@pytest.mark.slow
def test_tabular(tmp_path):
    done = run(tmp_path, "tabular", "--steps", "60", "--datasets", "magic_gamma", "--seeds", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok   nsf on magic_gamma, seed 3:" in done.stdout and "nats (exact; Gaussian" in done.stdout
    assert "ok   flow_matching on magic_gamma, seed 3:" in done.stdout and "nats (numerical; Gaussian" in done.stdout


@pytest.mark.slow
def test_posteriors(tmp_path):
    done = run(tmp_path, "sbibm", "--tasks", "two_moons", "--models", "real_nvp", "--budget", "50steps")
    if "not run" in done.stdout:
        pytest.skip("no reference posteriors here")
    assert done.returncode == 1 and "MISS real_nvp on two_moons: C2ST" in done.stdout, (
        done.stderr
    )  # 50 steps are too few
    assert "NPE, published: 0.542 and 0.571, mean 0.556" in done.stdout


@pytest.mark.slow
def test_without_data_nothing_runs_and_nothing_fails(tmp_path, monkeypatch):
    tastes = {"image_flows": ("--budget", "1s"), "image_diffusion": ("--steps", "1"), "tabular": ("--steps", "1")}
    for script in ("bsds300", "stability", *tastes):  # a taste, where all rows may be there already
        monkeypatch.setattr(sys.modules[__name__], "DATA", tmp_path)
        done = run(tmp_path, script, *tastes.get(script, ()))
        assert done.returncode == 0 and "not run: expected the files of" in done.stdout, done.stderr


@pytest.mark.slow
def test_golf(tmp_path):
    done = run(
        tmp_path, "image_diffusion", "--jobs", "mnist-edm_conditional,mnist-ddpm", "--steps", "20", "--draws", "150"
    )
    assert "mnist-edm_conditional: best" in done.stdout, done.stdout + done.stderr
    assert "'rule': 'guidance 2.0'" in done.stdout and "'rule': 'bound', 'bits'" in done.stdout
    for picture in ("golf", "mnist_edm_conditional", "mnist_ddpm"):
        assert (tmp_path / "runs" / "image_diffusion" / f"{picture}.png").stat().st_size > 1000
