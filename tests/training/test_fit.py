"""`fit` takes data as it comes, chooses precision and units, and touches nothing that is not its own."""

import random

import numpy as np
import pandas as pd
import pytest
import torch

import fairway
from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.preprocessing import Standardise
from fairway.core.random import seeded
from fairway.data.dataset import Dataset
from fairway.models.classical.histogram import Independent
from fairway.models.classical.mixture import GMM
from fairway.models.flow.real_nvp import RealNVP
from fairway.objectives.em import EM
from fairway.objectives.mle import MLE
from fairway.training.callbacks import Callback
from fairway.training.fit import Options, fit

ONE = {"components": 1, "iterations": 2, "prior": 0.0}


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


# -- what it takes --------------------------------------------------------------------------------------------------
def test_it_is_fairways_door(x):
    assert fairway.fit is fit
    assert fairway.fit("gmm", x, **ONE).name() == "gmm"


def test_array_likes_of_every_kind_give_one_model(x, tmp_path):
    table = x.double().numpy()
    np.save(tmp_path / "x.npy", table)
    kinds = {
        "array": table,
        "tensor": x.double(),
        "list": table.tolist(),
        "frame": pd.DataFrame(table, columns=["a", "b"]),
        "path": tmp_path / "x.npy",
        "path as text": str(tmp_path / "x.npy"),
        "dataset": Dataset(x.double(), Event((2,))),
    }
    first = fit("gmm", table, **ONE)
    for kind, data in kinds.items():
        assert same(fit("gmm", data, **ONE), first), kind


def test_a_data_set_by_name():
    model = fit("gmm", "moons", **ONE)
    assert model.event.shape == (2,)
    with pytest.raises(FileNotFoundError, match="did you mean the dataset 'moons'"):
        fit("gmm", "moon", **ONE)


def test_images_bytes_and_their_units():
    x = np.random.default_rng(0).integers(0, 256, (60, 4, 3), dtype=np.uint8)
    model = fit("real_nvp", x, steps=2, transforms=2, hidden=(4,))
    assert model.event == Event((4, 3), "integer", low=0, high=255)
    drawn = model.sample(5, generator=0)
    assert drawn.dtype == torch.uint8 and drawn.shape == (5, 4, 3)
    assert "bound" in model.capabilities and "log_prob" not in model.capabilities


def test_columns_of_wild_scales_come_back(x, small):
    model = fit("real_nvp", x, steps=300, **small)
    drawn = model.sample(4_000, generator=0).double()
    assert torch.allclose(drawn.mean(0), x.double().mean(0), atol=float(x[:, 0].std()) * 0.15, rtol=0.1)
    assert torch.allclose(drawn.std(0) / x.double().std(0), torch.ones(2).double(), atol=0.2)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (np.zeros((0, 2)), "at least one row"),
        (np.ones((9, 2)), "constant column 0"),
        ([[1.0, np.inf]] * 3 + [[2.0, 1.0]], "infinity at index"),
        ([[1.0, np.nan], [2.0, 1.0], [3.0, 4.0]], "NaN"),
        ([["a", "b"]], "expected x as numbers"),
        (np.zeros(5), r"x\[:, None\]"),
        (np.array([{}, {}]), "expected x as numbers"),
    ],
)
def test_data_that_cannot_be_learned(data, says):
    with pytest.raises(ValueError, match=says):
        fit("real_nvp", data, steps=1)


def test_a_built_model_knows_its_event():
    """The values happen to be few: a model that was built for five levels keeps five."""
    x = torch.randint(0, 3, (50, 2), generator=torch.Generator().manual_seed(0))
    model = Independent(Event((2,), "category", levels=5))
    assert fit(model, x) is model
    assert model.log_prob(torch.tensor([[4, 4]])).exp() > 0
    with pytest.raises(ValueError, match=r"in 0\.\.4"):
        fit(model, x + 4)
    with pytest.raises(ValueError, match=r"expected .* of shape \(\.\.\., 2\)"):
        fit(model, x[:, :1])


# -- precision ------------------------------------------------------------------------------------------------------
def test_solvers_keep_float64_and_networks_are_float32(x, small):
    assert fit("gmm", x.double(), **ONE).dtype == torch.float64
    assert fit("gmm", x, **ONE).dtype == torch.float32
    assert fit("gmm", x.half().float().bfloat16(), **ONE).dtype == torch.float32
    assert fit("gmm", torch.arange(60).reshape(30, 2) % 7, **ONE).dtype == torch.float32
    assert fit("real_nvp", x.double(), steps=1, **small).dtype == torch.float32


def test_precision_can_be_asked_for(x, small):
    assert fit("real_nvp", x, steps=1, dtype="float64", **small).dtype == torch.float64
    assert fit("gmm", x.double(), dtype=torch.float32, **ONE).dtype == torch.float32
    for wrong in ("int64", "float63", torch.int32):
        with pytest.raises(ValueError, match="expected dtype as float32 or float64"):
            fit("gmm", x, dtype=wrong, **ONE)


# -- units ----------------------------------------------------------------------------------------------------------
def test_units_are_measured_on_the_training_rows_alone(x, small):
    x[0] = torch.tensor([1e6, 1e6])  # one wild row
    with_it = [fit("real_nvp", x, steps=1, seed=s, validation=0.5, **small).preprocess.mean[0] > 2e3 for s in range(8)]
    assert 0 < sum(map(bool, with_it)) < 8


def test_units_of_ones_own(x):
    assert type(fit("gmm", x, preprocess=False, **ONE).preprocess).__name__ == "Identity"
    units = Standardise(Event((2,)))
    assert fit("gmm", x, preprocess=units, **ONE).preprocess is units
    with pytest.raises(ValueError, match="was built for"):
        fit("gmm", x, preprocess=Standardise(Event((3,))), **ONE)


# -- context, weights, held-out rows --------------------------------------------------------------------------------
def test_context_moves_the_model(x, small):
    label = (x[:, 0] > 1000).long()
    model = fit("real_nvp", x, context=label, steps=300, lr=1e-2, **small)
    drawn = model.sample(200, context=torch.tensor([0, 1]), generator=0)[..., 0].mean(1)
    assert float(drawn[1] - drawn[0]) > 40
    assert model.context_event == Event((), "category", levels=2)


def test_labels_of_a_data_set_by_word(x, small):
    data = Dataset(x, Event((2,)), labels=(x[:, 0] > 1000).long())
    assert fit("real_nvp", data, context="labels", steps=1, **small).context_event.levels == 2
    with pytest.raises(ValueError, match="'labels' for data that have them"):
        fit("real_nvp", x, context="labels", steps=1, **small)


def test_contexts_that_do_not_fit(x, small):
    with pytest.raises(ValueError, match=r"as many contexts as rows \(200\), got 3"):
        fit("real_nvp", x, context=[0, 1, 0], steps=1, **small)
    with pytest.raises(ValueError, match="gmm takes no context"):
        fit("gmm", x, context=(x[:, 0] > 1000).long(), **ONE)
    with pytest.raises(ValueError, match="expected finite"):
        fit("real_nvp", x, context=torch.full((200, 1), torch.nan), steps=1, **small)
    with pytest.raises(ValueError, match="expected finite context"):
        fit("real_nvp", x, context=torch.where(x > 1000, torch.nan, x), steps=1, **small)
    with seeded(0):
        conditional = RealNVP(Event((2,)), Event((1,)), transforms=2, hidden=(4,))
        plain = RealNVP(Event((2,)), transforms=2, hidden=(4,))
    with pytest.raises(ValueError, match=r"is conditional on .*: pass context="):
        fit(conditional, x, steps=1)
    with pytest.raises(ValueError, match="was built without context_event; got a context"):
        fit(plain, x, context=x[:, :1], steps=1)


def test_whole_weights_are_repeated_rows(x):
    count = torch.arange(200) % 4
    weighted = fit("gmm", x.double(), weights=count, preprocess=False, floor=0.0, **ONE)
    repeated = fit("gmm", x.double().repeat_interleave(count, 0), preprocess=False, floor=0.0, **ONE)
    torch.testing.assert_close(weighted.means, repeated.means)
    torch.testing.assert_close(weighted.covariances(), repeated.covariances())


def test_weights_pull_a_network(x, small):
    left = (x[:, 0] < 1000).float() * 0.98 + 0.01
    model = fit("real_nvp", x, weights=left, steps=300, lr=5e-3, **small)
    share = float((model.sample(2000, generator=0)[:, 0] < 1000).double().mean())
    assert share > 0.8


@pytest.mark.parametrize("weights", [[1.0] * 3, -np.ones(200), np.zeros(200), np.full(200, np.nan), np.ones((200, 1))])
def test_weights_that_cannot_be(weights, x):
    with pytest.raises(ValueError, match=r"expected weights as \(200,\) finite numbers >= 0"):
        fit("gmm", x, weights=weights, **ONE)


def test_nothing_is_held_out_where_nothing_is_asked(x, small):
    seen = {}

    class Look(Callback):
        def on_step(self, run):
            seen[run.plan.seed] = (len(run.batches.table), run.monitor)

    history = fit("real_nvp", x, steps=3, validation=0, callbacks=[Look()], seed=1, **small).history
    assert seen[1] == (200, None)
    assert history.monitor is None and history.best_step == 0 and not history.curve("monitor")
    fit("real_nvp", x, steps=3, validation=0.25, callbacks=[Look()], seed=2, **small)
    assert seen[2][0] == 150 and len(seen[2][1].table) == 50


def test_solvers_learn_from_all_rows(x):
    model = fit("gmm", x.double(), floor=0.0, preprocess=False, **ONE)
    torch.testing.assert_close(model.means[0], x.double().mean(0))


# -- seeds and isolation --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["real_nvp", "gmm", "wgan_gp"])
def test_the_same_seed_is_the_same_model_and_no_global_generator_moves(name, x):
    options = {"gmm": {"components": 3}, "wgan_gp": {"hidden": (4,), "steps": 3, "critic_hidden": (4,)}}
    options = options.get(name, {"steps": 4, "hidden": (4,), "transforms": 2, "dropout": 0.1})
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    first = fit(name, x, seed=3, **options)
    after = torch.get_rng_state(), np.random.get_state()[1], random.getstate()
    assert torch.equal(before[0], after[0]) and (before[1] == after[1]).all() and before[2] == after[2]
    torch.manual_seed(99)
    assert same(fit(name, x, seed=3, **options), first)
    assert not same(fit(name, x, seed=4, **options), first)


def test_data_are_left_as_they_were(x, small):
    before = x.clone()
    fit("real_nvp", x, steps=3, **small)
    assert torch.equal(x, before) and not x.requires_grad


# -- an instance, twice ---------------------------------------------------------------------------------------------
def test_an_instance_goes_on_from_its_weights(x, small):
    model = fit("real_nvp", x, steps=60, lr=5e-3, **small)
    first = model.history
    again = fit(model, x, steps=5, lr=1e-5, batch_size=32)
    assert again is model and model.history is not first and not model.training
    assert again.history.curve("monitor")[0][1] == pytest.approx(first.best, abs=0.05)
    assert model.fit(x, steps=2) is model


def test_a_solver_instance_starts_anew(x):
    learner = EM(prior=0.0)
    first = fit("gmm", x, components=2, objective=learner)
    steps = first.history.steps
    second = fit("gmm", x, components=2, objective=learner)
    assert steps > 1 and second.history.steps == steps and same(first, second)


def test_an_objective_that_the_model_cannot_answer(x):
    with pytest.raises(CapabilityError, match="the objective mle needs a model that answers 'log_prob'; wgan_gp"):
        fit("wgan_gp", x, objective=MLE(), steps=1, hidden=(4,))
    with pytest.raises(TypeError, match="em learns mixtures of Gaussians"):
        fit("real_nvp", x, objective="em")


def test_gradient_descent_on_a_mixture(x):
    """Any objective goes with any model that has what it requires."""
    model = fit("gmm", x, objective="mle", components=2, steps=300, lr=0.05, validation=0)
    assert isinstance(model, GMM) and model.history.curve("loss")[-1][1] < model.history.curve("loss")[0][1]
    solved = fit("gmm", x, components=2, prior=0.0)
    assert float(model.log_prob(x).mean()) == pytest.approx(float(solved.log_prob(x).mean()), abs=0.02)


# -- options --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"steps": 0}, "expected steps as an integer of at least 1"),
        ({"steps": 1.5}, "expected steps as an integer of at least 1"),
        ({"batch_size": -1}, "expected batch_size as an integer of at least 1"),
        ({"lr": 0.0}, "expected lr as a positive number"),
        ({"lr": float("nan")}, "expected lr as a positive number"),
        ({"seed": 0.5}, "expected seed as an integer"),
        ({"validation": 1.0}, r"expected validation as a share in \[0, 1\)"),
        ({"budget": "soon"}, "expected a budget such as 30s"),
        ({"resume": True}, "expected out=FOLDER"),
    ],
)
def test_options_that_cannot_be(options, says, x):
    with pytest.raises(ValueError, match=says):
        fit("gmm", x, **options)


def test_options_are_told_apart():
    own, left = Options.take({"steps": np.int64(3), "seed": np.int32(2), "hidden": (4,)})
    assert (own.steps, own.seed, own.seconds) == (3, 2, None) and left == {"hidden": (4,)}
    assert Options(budget="2m").seconds == 120
