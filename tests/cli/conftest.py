"""`cli("fit", "gmm", ...)` runs a command line in process; `runs` are small trained folders, made once."""

from dataclasses import dataclass

import numpy as np
import pytest

from fairway.cli.entry import run


@dataclass
class Ended:
    """How a command line ended."""

    code: int
    out: str
    err: str

    @property
    def error(self):
        """The one line of a user's mistake, checked to be the only one."""
        assert self.code == 2, (self.code, self.out, self.err)
        assert self.err.startswith("error: ") and self.err.count("\n") == 1, self.err
        assert "Traceback" not in self.out + self.err
        return self.err.removeprefix("error: ").strip()


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    """Run in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        capsys.readouterr()
        code = run([str(word) for word in words])
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return call


def points(n=80):
    """(n, 2) float32."""
    return np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32) * [40, 3e-3] + [1000, 0]


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Folders: flow (a table, a share held out), all (every row), made (conditional digits), gmm (digits), gan."""
    home = tmp_path_factory.mktemp("runs")
    np.save(home / "points.npy", points())
    table, short = str(home / "points.npy"), ("--steps", "4", "--quiet")
    flow = ("real_nvp", table, "--hidden", "4", "--transforms", "2", *short)
    lines = {
        "flow": (*flow, "--holdout", "0.25"),
        "all": flow,
        "made": ("made", "digits", "--context", "labels", "--hidden", "4", "--holdout", "0.1", *short),
        "gmm": ("gmm", "digits", "--components", "2", "--holdout", "0.1", *short),
        "gan": ("wgan_gp", table, "--hidden", "4", "--objective.critic-hidden", "4", "--holdout", "0.2", *short),
    }
    for name, words in lines.items():
        assert run(["fit", *words, "--out", str(home / name)]) == 0, name
    return home
