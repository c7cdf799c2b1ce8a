"""EM against its own theorem (the likelihood never falls), closed forms, scikit-learn, and R's mclust."""

import json
import math
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from fairway.core.event import Event
from fairway.core.objective import Batch
from fairway.core.random import Rows
from fairway.models.classical.mixture import GMM
from fairway.models.flow.real_nvp import RealNVP
from fairway.objectives.em import EM
from fairway.training.checkpoint import load_module, module_tensors
from fairway.training.fit import fit

SHARED_ROWS = Path(__file__).with_name("shared_rows.py")
FORMS = ("full", "tied", "diagonal", "spherical")
EXACT = {"prior": 0.0, "floor": 0.0, "tolerance": 0.0}

CENTRES = torch.tensor([[-1.5, 0, 0.5], [0.5, -1.5, -1.0], [1.0, 1.0, 0.0]], dtype=torch.float64)
MIX = torch.eye(3).double() + 0.5 * torch.ones(3, 3).double().tril(-1)


def clumps(n=300, spread=0.4, seed=0):
    """Three elongated clumps in three dimensions, float64, near scale one."""
    rows = Rows(seed, n, dtype=torch.float64)
    return CENTRES[rows.integers(3)] + spread * rows.normal(3) @ MIX


def started(x, components=3, covariance="full", seed=0, observed=None, weight=None, **options):
    """A mixture of the precision of the rows after EM's start, with its solver and batch."""
    model = GMM(Event((x.shape[1],)), components=components, covariance=covariance).to(x.dtype)
    solver, batch = EM(**{**EXACT, **options}), Batch(x, None, weight, observed)
    solver.start(model, batch, Rows(seed, len(x), dtype=torch.float64))
    return model, solver, batch


def climb(model, solver, batch, steps):
    return [-solver.step(model, batch)["loss"] for _ in range(steps)]


def with_holes(x, share=0.3, seed=1):
    """A mask with a share of entries unobserved, at random, and the rows with nonsense there."""
    observed = Rows(seed, len(x), dtype=torch.float64).uniform(x.shape[1]) > share
    return torch.where(observed, x, 0.0), observed


# -- the theorem ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("covariance", FORMS)
@pytest.mark.parametrize("case", ["plain", "weights", "holes"])
def test_the_likelihood_never_falls(covariance, case):
    x, weight, observed = clumps(spread=0.8), None, None
    if case == "weights":
        weight = Rows(5, len(x), dtype=torch.float64).uniform() * 3
    if case == "holes":
        x, observed = with_holes(x)
    curve = climb(*started(x, covariance=covariance, weight=weight, observed=observed), 25)
    assert min(np.diff(curve)) > -1e-12
    assert curve[-1] > curve[0] + 1e-4


def test_the_loss_is_that_of_the_parameters_before_the_step():
    x = clumps()
    model, solver, batch = started(x)
    before = float(model._log_prob(x).detach().mean()) / 3
    assert climb(model, solver, batch, 1)[0] == pytest.approx(before, rel=1e-12)


# -- what it finds --------------------------------------------------------------------------------------------------
def assert_recovered(model, atol):
    order = model.means[:, 0].argsort()
    covariance = (0.16 * MIX.mT @ MIX).expand(3, 3, 3).contiguous()
    torch.testing.assert_close(model.means.detach()[order], CENTRES, atol=atol, rtol=0)
    torch.testing.assert_close(model.covariances().detach(), covariance, atol=atol, rtol=0)
    torch.testing.assert_close(model.logits.softmax(0).detach(), torch.full((3,), 1 / 3).double(), atol=atol, rtol=0)


def test_a_known_mixture_is_recovered():
    model, solver, batch = started(clumps(4_000))
    climb(model, solver, batch, 40)
    assert_recovered(model, 0.05)


@pytest.mark.parametrize("covariance", FORMS)
def test_each_form_is_of_its_form(covariance):
    model, solver, batch = started(clumps(), covariance=covariance)
    climb(model, solver, batch, 5)
    matrices = model.covariances().detach()
    off = matrices - torch.diag_embed(torch.diagonal(matrices, dim1=1, dim2=2))
    spread = torch.diagonal(matrices, dim1=1, dim2=2)
    assert torch.allclose(matrices[0], matrices[1]) == (covariance == "tied")
    assert (float(off.abs().max()) < 1e-12) == (covariance in ("diagonal", "spherical"))
    assert (float(spread.std(1).max()) < 1e-12) == (covariance == "spherical")


def test_one_component_is_the_mean_and_covariance_in_one_step():
    x = clumps()
    model, solver, batch = started(x, components=1)
    climb(model, solver, batch, 1)
    torch.testing.assert_close(model.means[0].detach(), x.mean(0))
    torch.testing.assert_close(model.covariances()[0].detach(), x.T.cov(correction=0))
    climb(model, solver, batch, 1)
    assert abs(float(solver.gain)) < 1e-9


def test_whole_weights_are_repeated_rows_from_the_start_on():
    x = clumps(60)
    count = torch.arange(60) % 3
    far = x + 50 * (count == 0).unsqueeze(1)  # rows that count for nothing may lie anywhere
    a, b = (
        started(far, components=1, weight=count.double(), prior=2.0),
        started(x.repeat_interleave(count, 0), components=1, prior=2.0),
    )
    for model, solver, batch in (a, b):
        climb(model, solver, batch, 2)
    torch.testing.assert_close(a[0].means, b[0].means)
    torch.testing.assert_close(a[0].covariances(), b[0].covariances())


def test_a_prior_keeps_small_components_from_collapsing():
    """Fewer rows than dimensions per component: singular without a prior, positive definite with it."""
    x = Rows(0, 30, dtype=torch.float64).normal(20)
    model, solver, batch = started(x, components=3, prior=None)
    climb(model, solver, batch, 10)
    assert float(torch.linalg.eigvalsh(model.covariances().detach()).min()) > 1e-2
    with pytest.raises(torch.linalg.LinAlgError):
        climb(*started(x, components=3), 10)


# -- missing entries ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("covariance", FORMS)
def test_nothing_missing_is_the_complete_data_step(covariance):
    x = clumps()
    plain = started(x, covariance=covariance)
    masked = started(x, covariance=covariance, observed=torch.ones_like(x, dtype=torch.bool))
    assert climb(*plain, 4) == pytest.approx(climb(*masked, 4), rel=1e-10)
    torch.testing.assert_close(plain[0].covariances(), masked[0].covariances())


def test_a_third_missing_at_random_is_recovered():
    x, observed = with_holes(clumps(3_000))
    model, solver, batch = started(x, observed=observed)
    climb(model, solver, batch, 40)
    assert_recovered(model, 0.08)


def test_a_gaussian_with_a_monotone_gap_has_a_closed_form():
    """Anderson (1957): where y is missing for some rows, the likelihood factors into x and y given x."""
    x = clumps(200, spread=1.0)[:, :2]
    seen = torch.arange(200) < 120
    observed = torch.stack([torch.ones(200, dtype=torch.bool), seen], 1)
    model, solver, batch = started(torch.where(observed, x, 7.0), components=1, observed=observed)
    climb(model, solver, batch, 200)
    whole, part = x[:, 0], x[seen]
    c = part.T.cov(correction=0)
    slope, s11 = c[0, 1] / c[0, 0], whole.var(correction=0)
    mean = torch.stack([whole.mean(), part[:, 1].mean() + slope * (whole.mean() - part[:, 0].mean())])
    s22 = c[1, 1] + slope**2 * (s11 - c[0, 0])
    expected = torch.stack([torch.stack([s11, slope * s11]), torch.stack([slope * s11, s22])])
    torch.testing.assert_close(model.means[0].detach(), mean, atol=1e-8, rtol=0)
    torch.testing.assert_close(model.covariances()[0].detach(), expected, atol=1e-8, rtol=0)


def test_rows_without_any_entry_change_nothing_but_the_average():
    x, observed = with_holes(clumps(200))
    empty = torch.cat([observed, torch.zeros(40, 3, dtype=torch.bool)])
    a = started(x, observed=observed)
    b = started(torch.cat([x, torch.zeros(40, 3).double()]), observed=empty)
    b[0].load_state_dict(a[0].state_dict())
    first, second = climb(*a, 60), climb(*b, 60)
    assert second[0] == pytest.approx(first[0] * 200 / 240, rel=1e-10)
    assert second[-1] == pytest.approx(first[-1] * 200 / 240, rel=1e-6)
    torch.testing.assert_close(a[0].means, b[0].means, atol=1e-3, rtol=0)


# -- peers ----------------------------------------------------------------------------------------------------------
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("covariance", FORMS)
def test_step_for_step_as_scikit_learn(covariance):
    assert issubclass(ConvergenceWarning, UserWarning)
    x, steps = clumps(), 12
    model, solver, batch = started(x, covariance=covariance, floor=1e-6)
    inverse = torch.linalg.inv(model.covariances().detach())
    diagonal = torch.diagonal(inverse, dim1=1, dim2=2)
    precisions = {"full": inverse, "tied": inverse[0], "diagonal": diagonal, "spherical": diagonal[:, 0]}[covariance]
    peer = GaussianMixture(
        3, covariance_type=covariance.replace("onal", ""), tol=0.0, reg_covar=1e-6, max_iter=steps,
        init_params="random", weights_init=model.logits.softmax(0).detach().numpy(),
        means_init=model.means.detach().numpy().copy(), precisions_init=precisions.numpy(), random_state=0,
    ).fit(x.numpy())  # fmt: skip
    climb(model, solver, batch, steps)
    ours = float(model._log_prob(x).detach().mean())
    assert ours == pytest.approx(peer.score(x.numpy()), rel=1e-6)
    np.testing.assert_allclose(model._log_prob(x).detach().numpy(), peer.score_samples(x.numpy()), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.means.detach().numpy(), peer.means_, rtol=1e-4, atol=1e-5)


def reference_folder():
    """../shared/reference beside the checkout, or beside $FAIRWAY_DATA."""
    beside = [Path(__file__).parents[2].parent / "shared" / "reference"]
    if os.environ.get("FAIRWAY_DATA"):
        beside.insert(0, Path(os.environ["FAIRWAY_DATA"]).parent / "reference")
    found = next((folder / "mixtures" for folder in beside if (folder / "mixtures").is_dir()), None)
    if found is None:
        pytest.skip("needs the folder reference/mixtures beside $FAIRWAY_DATA")
    return found


def best_of(x, components, covariance, target, starts=30, steps=400):
    """The best summed log-likelihood of several starts, until one reaches the target."""
    best = -math.inf
    for seed in range(starts):
        try:
            model, solver, batch = started(x, components, covariance, seed, tolerance=1e-9, floor=1e-12)
            for _ in range(steps):
                solver.step(model, batch)
                if solver.done():
                    break
        except torch.linalg.LinAlgError:  # a start that collapsed onto a few rows
            continue
        best = max(best, float(model._log_prob(x).detach().sum()))
        if best >= target:
            return best
    return best


MCLUST = {"VVV": "full", "EEE": "tied", "VVI": "diagonal", "VII": "spherical"}


@pytest.mark.parametrize("name", list(MCLUST))
def test_as_good_as_mclust_on_iris(name):
    reference = json.loads((reference_folder() / "reference.json").read_text())["iris"]
    x = torch.from_numpy(load_iris().data)
    n, d = x.shape
    for k, bic in zip(reference["components"], reference["bic"][name], strict=True):
        shape = {"VVV": k * d * (d + 1) / 2, "EEE": d * (d + 1) / 2, "VVI": k * d, "VII": k}[name]
        published = (bic + (k - 1 + k * d + shape) * math.log(n)) / 2
        ours = best_of(x, k, MCLUST[name], published - 1e-4)
        assert published - 1e-4 <= ours <= published + 0.01, f"{name} with {k} components"


def test_as_good_as_mclust_on_old_faithful():
    folder = reference_folder()
    reference = json.loads((folder / "reference.json").read_text())["faithful"]
    x = torch.from_numpy(np.load(folder / "faithful.npz")["x"]).double()
    ours = best_of((x - x.mean(0)) / x.std(0), 3, "tied", math.inf, starts=4) - len(x) * float(x.std(0).log().sum())
    assert ours == pytest.approx(reference["converged_log_likelihood"], abs=2e-4)


# -- any offset, any precision --------------------------------------------------------------------------------------
@pytest.mark.parametrize("covariance", FORMS)
@pytest.mark.parametrize("features", [True, False])
def test_float32_far_from_the_origin_finds_what_float64_finds_at_it(covariance, features, monkeypatch):
    """Rows that float32 holds exactly at 1e4: the same components as at 0, as far as float32 can say."""
    monkeypatch.setattr("fairway.objectives.em.pays", lambda *_: features)
    x = (clumps(2_000) * 512).round() / 512
    exact, far = started(x, covariance=covariance), started((x + 1e4).float(), covariance=covariance)
    for model, solver, batch in (exact, far):
        climb(model, solver, batch, 15)
    order = [pair[0].means[:, 0].argsort() for pair in (exact, far)]
    means, covariances = far[0].means.detach()[order[1]].double() - 1e4, far[0].covariances().detach()[order[1]]
    torch.testing.assert_close(means, exact[0].means.detach()[order[0]], atol=2e-3, rtol=0)
    torch.testing.assert_close(covariances.double(), exact[0].covariances().detach()[order[0]], atol=1e-3, rtol=0)


def test_float32_in_standard_units_keeps_five_digits_whatever_the_offset():
    x = clumps(3_000)
    for offset in (0.0, 1e5):
        options = dict(components=3, preprocess=True, start="kmeans", tolerance=0.0, iterations=20, prior=0.0)
        single, exact = (fit("gmm", x + offset, dtype=d, **options) for d in ("float32", "float64"))
        means = [m.preprocess.to_data(m.means.detach()) for m in (single, exact)]
        torch.testing.assert_close(*means, atol=1e-5, rtol=0)


def test_narrow_clusters_far_apart_are_found_in_float32():
    """Deviations of 1e-3 at distances of 1: squares of features would lose them all."""
    x = torch.cat([1e-3 * clumps(200, seed=s) + s for s in range(3)])
    single, exact = started(x.float(), floor=1e-12), started(x, floor=1e-12)
    climb(*single, 10), climb(*exact, 10)
    spread = [torch.diagonal(m.covariances().detach(), dim1=1, dim2=2).double().sort(0)[0] for m, *_ in (single, exact)]
    torch.testing.assert_close(spread[0] / spread[1], torch.ones(3, 3).double(), atol=0.01, rtol=0)


@pytest.mark.parametrize("covariance", FORMS)
def test_both_ways_take_the_same_steps(covariance, monkeypatch):
    x, weight = clumps(500), Rows(5, 500, dtype=torch.float64).uniform()
    first = climb(*started(x, covariance=covariance, weight=weight), 8)
    monkeypatch.setattr("fairway.objectives.em.pays", lambda *_: False)
    assert climb(*started(x, covariance=covariance, weight=weight), 8) == pytest.approx(first, rel=1e-10)


# -- processes ------------------------------------------------------------------------------------------------------
def test_two_processes_take_the_steps_of_one(tmp_path):
    """Each with its own share of the rows, of another length: every form, weights, gaps, and counting."""
    command = [sys.executable, str(SHARED_ROWS)]
    both = [
        subprocess.Popen([*command, str(rank), str(tmp_path / "meet")], stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    said = [json.loads(process.communicate(timeout=120)[0]) for process in both]
    alone = runpy.run_path(str(SHARED_ROWS))["curves"]()
    assert said[0] == said[1], "processes that share rows hold the same model in every bit"
    assert said[0].keys() == alone.keys()
    for name, values in alone.items():
        assert said[0][name] == pytest.approx(values, rel=1e-9, abs=1e-9), name


# -- resume ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("covariance", FORMS)
def test_a_process_that_never_saw_the_start_goes_on_in_the_same_bits(covariance, dtype):
    x = clumps().to(dtype)
    model, solver, batch = started(x, covariance=covariance, prior=None)
    climb(model, solver, batch, 3)
    other, again = GMM(Event((3,)), components=3, covariance=covariance).to(dtype), EM(tolerance=0.0, floor=0.0)
    load_module("model", other, module_tensors("model", model))
    load_module("objective", again, module_tensors("objective", solver))
    assert climb(model, solver, batch, 4) == climb(other, again, Batch(x.clone()), 4)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_rows_changed_in_place_are_whitened_anew():
    model, solver, batch = started(clumps())
    before = climb(model, solver, batch, 1)[0]
    batch.u.add_(0.5)
    assert climb(model, solver, batch, 1)[0] < before - 0.01


# -- refusals and the start -----------------------------------------------------------------------------------------
def test_more_components_than_rows():
    with pytest.raises(ValueError, match=r"at least as many rows as components \(5\), got 4"):
        started(clumps(4), components=5)


def test_another_model():
    with pytest.raises(TypeError, match="em learns mixtures of Gaussians"):
        EM().start(RealNVP(Event((2,))), Batch(clumps()[:, :2]), Rows(0, 300))


def test_a_start_follows_its_seed_and_resets_the_solver():
    x = clumps()
    a, b, c = started(x, seed=0), started(x, seed=0), started(x, seed=1)
    assert torch.equal(a[0].means, b[0].means) and not torch.equal(a[0].means, c[0].means)
    model, solver, batch = a
    climb(model, solver, batch, 3)
    solver.start(model, batch, Rows(0, len(x), dtype=torch.float64))
    assert torch.equal(model.means, b[0].means) and math.isinf(solver.gain) and not solver.done()


def test_duplicated_rows_still_start():
    x = torch.ones(10, 2).double().index_fill(0, torch.tensor([0]), 2.0)
    model, solver, batch = started(x, components=3, prior=None, floor=1e-6)
    assert all(math.isfinite(v) for v in climb(model, solver, batch, 5))


def test_a_start_from_the_model_takes_its_components():
    x = clumps()
    model, solver, batch = started(x)
    climb(model, solver, batch, 2)
    means = model.means.detach().clone()
    more = EM(**EXACT, start="model")
    more.start(model, batch, Rows(1, len(x), dtype=torch.float64))
    assert torch.equal(model.means, means)
    within = torch.einsum("k,kij->ij", model.logits.softmax(0), model.covariances())
    torch.testing.assert_close(more.pooled, within.detach())
    assert climb(model, more, batch, 3) == pytest.approx(climb(*started(x), 5)[2:], rel=1e-12)


def test_a_fit_goes_on_from_an_instance():
    x = clumps()
    model = fit("gmm", x, components=3, steps=4, tolerance=0.0)
    before = float(model.log_prob(x).mean())
    more = fit(model, x, objective=EM(start="model", tolerance=0.0), steps=4)
    assert float(more.log_prob(x).mean()) >= before
    with pytest.raises(ValueError, match="expected start as kmeans or model, got 'random'"):
        EM(start="random")
