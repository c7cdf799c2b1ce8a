"""Scores of rows, with their relation and method."""

import numpy as np
import pytest

from fairway.training.run_folder import load


def test_an_exact_density(cli, runs):
    ended = cli("log-prob", runs / "flow", runs / "points.npy", "--out", "scores.npy")
    first, path = ended.out.splitlines()
    scores = np.load(path)
    assert path == "scores.npy" and np.allclose(
        scores, load(runs / "flow").log_prob(np.load(runs / "points.npy")).detach()
    )
    assert first == (
        f"mean log p = {scores.mean():.4f} +- {scores.std(ddof=1) / len(scores) ** 0.5:.4f} nats (exact, 80 rows)"
    )


def test_a_bound_is_said_to_be_one_in_nats_and_in_bits(cli, runs):
    few, more = (cli("log-prob", runs / "gmm", "digits", "--draws", n).out for n in (1, 2))
    for line in (few, more):
        assert line.startswith("mean log p >= ") and ", <= " in line and "bits/dim (estimate, 1797 rows)" in line
    assert few != more


def test_labels_as_context(cli, runs):
    line = cli("log-prob", runs / "made", "digits", "--context", "labels").out
    assert line.startswith("mean log p = ") and ", = " in line and "(exact, 1797 rows)" in line
    assert "expected --context labels, got none" in cli("log-prob", runs / "made", "digits").error


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("flow",), "expected DATA: a data set's name, or a path"),
        (("flow", "digts"), "did you mean the dataset 'digits'?"),
        (("flow", "digits"), "(1797, 8, 8)"),
        (("flow", "POINTS", "--context", "labels"), "was trained without a context"),
        (("flow", "POINTS", "--out", "a.png"), "expected a file name ending in .npy, .npz, .csv; got 'a.png'"),
        (("gan", "POINTS"), "wgan_gp answers neither log_prob nor bound; it answers decode, sample"),
        (("gmm", "digits", "--draws", "0"), "expected samples of at least 1, got 0"),
    ],
)
def test_mistakes(cli, runs, words, line):
    found = [runs / words[0], *(runs / "points.npy" if word == "POINTS" else word for word in words[1:])]
    assert line in cli("log-prob", *found).error


def test_broken_folders_are_one_line(cli, runs, tmp_path):
    import shutil

    folder = shutil.copytree(runs / "flow", tmp_path / "broken")
    weights = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(weights[: len(weights) // 2])
    assert "truncated" in cli("log-prob", folder, runs / "points.npy").error
    (folder / "config.json").write_text('{"model": "os.system", "arguments": {}, "format": 1}')
    assert "os.system" in cli("log-prob", folder, runs / "points.npy").error
