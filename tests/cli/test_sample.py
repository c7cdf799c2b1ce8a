"""Draw from a run, to a file, by seed; another sampler by name."""

import numpy as np
import pytest
from PIL import Image

from fairway.training.run_folder import load


def test_arrays_by_seed_and_the_same_as_in_python(cli, runs):
    ended = cli("sample", runs / "flow", "--n", "5", "--seed", "3", "--out", "a.npy")
    assert ended.code == 0 and ended.out == "(5, 2) float32, 1 stroke each: a.npy\n"
    rows = np.load("a.npy")
    assert np.array_equal(rows, load(runs / "flow").sample(5, generator=3))
    cli("sample", runs / "flow", "--n", "5", "--seed", "4", "--out", "b.npz")
    assert not np.array_equal(rows, np.load("b.npz")["x"])
    cli("sample", runs / "flow", "--n", "3", "--seed", "3", "--batch-size", "2", "--out", "c.csv")
    assert np.allclose(np.loadtxt("c.csv", delimiter=","), rows[:3], rtol=1e-6)


def test_a_picture_of_images(cli, runs):
    assert cli("sample", runs / "gmm", "--n", "4", "--out", "deep/a.png").code == 0
    with Image.open("deep/a.png") as image:
        assert image.size[0] > 100


def test_the_default_is_64_rows_beside(cli, runs):
    assert cli("sample", runs / "flow").out.startswith("(64, 2) float32")
    assert np.load("samples.npy").shape == (64, 2)


def test_a_conditional_model_draws_under_one_context(cli, runs):
    ended = cli("sample", runs / "made", "--n", "2", "--context", "3", "--out", "a.npy")
    assert ended.code == 0 and np.load("a.npy").shape == (2, 8, 8)
    assert "expected --context as 1 whole number, got none" in cli("sample", runs / "made", "--n", "2").error
    assert "0..9" in cli("sample", runs / "made", "--n", "2", "--context", "33").error
    assert "without a context" in cli("sample", runs / "flow", "--context", "3").error


def test_another_sampler_with_its_options(cli, runs):
    words = ("sample", runs / "flow", "--n", "3", "--sampler", "langevin", "--sampler.metropolis", "--out", "a.npy")
    ended = cli(*words)
    assert ended.code == 0 and "acceptance 0." in ended.out and np.isfinite(np.load("a.npy")).all()
    assert cli("sample", runs / "flow", "--n", "3", "--sampler", "direct").code == 0


def test_the_samplers_options_are_in_the_help(cli, runs):
    out = " ".join(cli("sample", runs / "flow", "--sampler", "langevin", "--help").out.split())
    assert "--sampler.step" in out and "step size (with the test: where its adaptation starts)" in out


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "expected RUN: a run folder"),
        (("nowhere",), "expected a run folder, found none at nowhere"),
        (("RUN", "--n", "0"), "expected n as a positive integer, got 0"),
        (("RUN", "--n", "abc"), "expected --n as a whole number, got 'abc'"),
        (("RUN", "--out", "a.xyz"), "expected a file name ending in .npy, .npz, .csv, .png; got 'a.xyz'"),
        (("RUN", "--sampler", "langevine"), "no sampler named 'langevine'; did you mean 'langevin'?"),
        (("RUN", "--sampler", "os.system"), "no sampler named 'os.system'; known: "),
        (("RUN", "--sampler"), "expected a value after --sampler, got none"),
        (("RUN", "--sampler", "mcmc"), "the sampler mcmc is built from parts (kernel), which only Python can give"),
        (("RUN", "--sampler", "langevin", "--sampler.stepp", "1"), "no option --sampler.stepp; did you mean '--sampl"),
        (("RUN", "--sampler", "langevin", "--sampler.step", "-1"), "expected a positive step, got -1.0"),
        (("RUN", "--sampler", "probability_flow"), "needs a model that answers 'velocity'"),
    ],
)
def test_mistakes(cli, runs, words, line):
    assert line in cli("sample", *(runs / "flow" if word == "RUN" else word for word in words)).error
