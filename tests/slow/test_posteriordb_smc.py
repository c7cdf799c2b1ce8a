"""log Z of six posteriors from practice, by sequential Monte Carlo at its defaults, against exact values."""

import importlib.util
import json
import math
import os
import sys
from pathlib import Path

import pytest
import torch

from fairway.samplers import draw

pytestmark = pytest.mark.slow
POSTERIORS = (
    "eight_schools_noncentered",
    "arK",
    "gp_regr",
    "low_dim_gauss_mix",
    "kidscore_interaction",
    "logmesquite_logvas",
)


def folder():
    """reference/posteriordb beside $FAIRWAY_DATA, or ../shared/reference beside the checkout."""
    beside = [Path(__file__).parents[2].parent / "shared" / "reference"]
    if os.environ.get("FAIRWAY_DATA"):
        beside = [Path(os.environ["FAIRWAY_DATA"]).parent / "reference"]
    found = beside[0] / "posteriordb"
    if not found.is_dir():
        pytest.skip("needs the folder reference/posteriordb beside $FAIRWAY_DATA")
    return found


def load(key):
    """The posterior, and log Z with its own standard error."""
    spec = importlib.util.spec_from_file_location("posteriordb_targets", folder() / "targets.py")
    module = sys.modules.setdefault(spec.name, importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    known = json.loads((folder() / "logz.json").read_text())[key]
    exact = "exact_log_z" in known
    return module.load(key), known["exact_log_z" if exact else "is_log_z"], 0.0 if exact else known["is_se"]


@pytest.mark.parametrize("key", POSTERIORS)
def test_log_z_within_four_errors_and_draws_as_the_reference(key):
    posterior, log_Z, its_error = load(key)
    draws = draw(posterior.log_prob, 1000, posterior.dim, sampler="smc", generator=0)
    error = draws.info["log_Z_error"]
    assert abs(draws.log_Z - log_Z) < 4 * math.hypot(error, its_error)
    assert error < 0.03
    reference, x = posterior.reference(), posterior.constrain(draws.samples)
    gap = (x.mean(0) - torch.as_tensor(reference["mean"])) / torch.as_tensor(reference["sd"])
    assert float(gap.abs().max()) < 4.5 / math.sqrt(1000)


def test_the_error_of_log_z_is_honest():
    """(estimate - truth) / error over 30 seeds on eight schools: mean within 4 / sqrt(30) of 0, spread near 1."""
    posterior, log_Z, _ = load("eight_schools_noncentered")
    runs = [draw(posterior.log_prob, 64, posterior.dim, sampler="smc", generator=seed) for seed in range(30)]
    z = torch.tensor([(run.log_Z - log_Z) / run.info["log_Z_error"] for run in runs])
    assert abs(float(z.mean())) < 4 / math.sqrt(30)
    assert 0.6 < float(z.std()) < 1.6
