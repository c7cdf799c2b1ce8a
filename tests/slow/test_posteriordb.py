"""Six posteriors of posteriordb, with reference draws: NUTS at its defaults, from its own start, unconstrained.

Every mean and standard deviation (constrained space) lies within four standard errors, the sampler's and the
reference's together, and R-hat is at most 1.01.
"""

import importlib.util
import os
from pathlib import Path

import pytest
import torch

from fairway.samplers import draw
from fairway.samplers.diagnostics import mcse_mean, mcse_sd, rhat

pytestmark = pytest.mark.slow

POSTERIORS = [
    "arK",
    "eight_schools_noncentered",
    "gp_regr",
    "kidscore_interaction",
    "logmesquite_logvas",
    "low_dim_gauss_mix",
]


@pytest.fixture(scope="module")
def load():
    """targets.load of the folder reference/posteriordb, beside the checkout or beside $FAIRWAY_DATA."""
    beside = [Path(__file__).parents[3] / "shared" / "reference"]
    if os.environ.get("FAIRWAY_DATA"):
        beside.insert(0, Path(os.environ["FAIRWAY_DATA"]).parent / "reference")
    folder = next((path / "posteriordb" for path in beside if (path / "posteriordb").is_dir()), None)
    if folder is None:
        pytest.skip("needs the folder reference/posteriordb beside $FAIRWAY_DATA")
    spec = importlib.util.spec_from_file_location("posteriordb_targets", folder / "targets.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load


@pytest.mark.parametrize("key", POSTERIORS)
def test_means_and_standard_deviations_are_those_of_the_reference_draws(load, key):
    target = load(key)
    reference = {name: torch.as_tensor(value) for name, value in target.reference().items() if name != "names"}
    draws = draw(target.log_prob, 16_000, target.dim, sampler="nuts", generator=0, trace=True)
    values = target.constrain(draws.trace)
    assert float(draws.rhat.max()) <= 1.01 and float(rhat(values).max()) <= 1.01

    def z(estimate, error, name):
        return (estimate - reference[name]) / (error.square() + reference[f"{name}_se"].square()).sqrt()

    flat = values.flatten(0, 1)
    assert float(z(flat.mean(0), mcse_mean(values), "mean").abs().max()) <= 4
    assert float(z(flat.std(0), mcse_sd(values), "sd").abs().max()) <= 4
