"""`fit` takes data as it comes, chooses precision and units, and touches nothing that is not its own."""

import random

import numpy as np
import pandas as pd
import pytest
import torch

import fairway
from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.data.dataset import Dataset
from fairway.models.classical.mixture import GMM
from fairway.objectives.em import EM
from fairway.objectives.mle import MLE
from fairway.training.fit import fit

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
        ({"threads": 0}, "expected threads as an integer of at least 1"),
        ({"evaluate_every": -1}, "expected evaluate_every as an integer of at least 0"),
    ],
)
def test_options_that_cannot_be(options, says, x):
    with pytest.raises(ValueError, match=says):
        fit("gmm", x, **options)
