"""The same number as the benchmark's settings give, on the same rows."""

import importlib.util
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, cross_val_score
from sklearn.neural_network import MLPClassifier

from fairway.metrics.two_sample.cross_validated import c2st


@pytest.fixture
def reference_folder():
    """../shared/reference beside the checkout, or beside $FAIRWAY_DATA."""
    beside = [Path(__file__).parents[4] / "shared" / "reference"]
    if os.environ.get("FAIRWAY_DATA"):
        beside.insert(0, Path(os.environ["FAIRWAY_DATA"]).parent / "reference")
    folder = next((path / "sbibm" for path in beside if (path / "sbibm").is_dir()), None)
    if folder is None:
        pytest.skip("needs the folder reference/sbibm beside $FAIRWAY_DATA")
    return folder


@pytest.fixture
def few_epochs(monkeypatch):
    """Forty passes over the rows instead of as many as it takes."""
    monkeypatch.setattr("fairway.metrics.two_sample.cross_validated.EPOCHS", 40)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def pair(n=60, shift=1.2):
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(n, 2, generator=generator) for _ in range(2))
    return x * torch.tensor([3.0, 0.1]), (y + shift) * torch.tensor([3.0, 0.1])


def test_it_is_scikit_learns_network_under_the_published_settings(few_epochs):
    x, y = pair()
    u = (np.concatenate([x.numpy(), y.numpy()]) - x.numpy().mean(0)) / x.numpy().std(0, ddof=1)
    network = MLPClassifier((20, 20), activation="relu", solver="adam", max_iter=40, random_state=1)
    labels = np.repeat([0.0, 1.0], [60, 60])
    scores = cross_val_score(network, u, labels, cv=KFold(5, shuffle=True, random_state=1), scoring="accuracy")
    found = c2st(x, y)
    assert found.value == float(scores.mean()) and 0.6 < found.value < 0.95
    assert found.standard_error == pytest.approx(scores.std(ddof=1) / 5**0.5) and found.n == (60, 60)


def test_it_is_one_half_for_one_law_and_one_apart(few_epochs):
    x, y = pair(60, shift=0.0)
    assert c2st(x, y).value == pytest.approx(0.5, abs=0.15)
    assert c2st(x, y + 100).value > 0.95


def test_rows_of_any_shape_are_flattened_and_wrong_ones_refused(few_epochs):
    x, y = pair(20)
    assert c2st(x.reshape(20, 1, 2), y.reshape(20, 1, 2)).value == c2st(x, y).value
    with pytest.raises(ValueError, match="got 2 in the reference and 1"):
        c2st(x, y[:, :1])
    with pytest.raises(ValueError, match="every entry of the reference to vary"):
        c2st(torch.ones(10, 2), y)
    with pytest.raises(ValueError, match="finite values in samples"):
        c2st(x, torch.full((10, 2), float("nan")))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("observation", [1, 2])
def test_it_equals_the_reference_code_on_the_reference_posterior(reference_folder, observation):
    spec = importlib.util.spec_from_file_location("reference_c2st", reference_folder / "c2st.py")
    theirs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(theirs)
    stored = np.load(reference_folder / "two_moons.npz")
    reference = stored[f"reference_{observation}"][:4000]
    rng = np.random.default_rng(0)
    gaussian = rng.multivariate_normal(reference.mean(0), np.cov(reference.T), len(reference)).astype(np.float32)
    found = c2st(reference, gaussian)
    assert found.value == theirs.c2st(reference, gaussian)
    assert found.value == pytest.approx(0.96, abs=0.02)  # .965 and .964 at 10,000 rows
