"""Relation, method and error of a likelihood."""

import math

import pytest
import torch

from fairway.core.event import Event
from fairway.core.numerics import standard_normal_log_prob
from fairway.data.dataset import Dataset
from fairway.metrics.evaluate import evaluate, nll


def test_a_density_is_equal_exact_and_without_error(normal, rows):
    found = evaluate(normal(Event((3,))).eval(), rows)
    assert (found.relation, found.method, found.levels) == ("equal", "exact", None)
    assert torch.allclose(found.value, standard_normal_log_prob(rows).double()) and not found.mc_error.any()
    assert found.bits_per_dim is None and found.dims.tolist() == [3] * 200


def test_a_bound_is_lower_with_the_error_of_its_noise(loose, rows):
    found = evaluate(loose(Event((3,))).eval(), rows, samples=64)
    slack = standard_normal_log_prob(rows).double() - found.value
    assert (found.relation, found.method) == ("lower", "estimate")
    assert float(slack.mean()) == pytest.approx(math.sqrt(2 / math.pi), abs=0.02)
    # |z| has variance 1 - 2 / pi; 64 draws
    assert float(found.mc_error.mean()) == pytest.approx(math.sqrt((1 - 2 / math.pi) / 64), rel=0.05)
    assert float(slack.std()) == pytest.approx(float(found.mc_error.mean()), rel=0.2)
    assert float(found.terms["slack"].mean()) == pytest.approx(float(slack.mean()), abs=1e-5)


def test_a_dequantised_density_is_a_bound_even_if_the_density_is_exact(normal):
    x = torch.arange(64).reshape(16, 4) % 17
    model = normal(Event((4,), "integer", low=0, high=16)).eval()
    found = evaluate(model, x, samples=4)
    assert model.likelihood == "exact" and (found.relation, found.method) == ("lower", "estimate")
    assert found.mc_error.gt(0).all() and found.bits_per_dim > 0


def test_a_solver_is_the_weakest_link_of_a_bound(normal, monkeypatch):
    monkeypatch.setattr(normal, "likelihood", "numerical")
    model = normal(Event((4,), "integer", low=0, high=16)).eval()
    assert evaluate(model, torch.ones(3, 4, dtype=torch.int64)).method == "numerical"


def test_a_model_without_density_says_none(silent, rows):
    found = evaluate(silent(Event((3,))), rows)
    assert (found.relation, found.method) == ("none", "none") and found.value.isnan().all()
    assert len(found.value) == len(found.mc_error) == 200


def test_the_protocol_travels_with_a_dataset(normal, rows):
    data = Dataset(rows, Event((3,)), protocol="as measured")
    assert evaluate(normal(Event((3,))), data).protocol == "as measured"
    assert evaluate(normal(Event((3,))), rows, protocol="ours").protocol == "ours"


def test_the_same_seed_gives_the_same_bound(loose, rows):
    model = loose(Event((3,)))
    assert torch.equal(evaluate(model, rows, seed=5).value, evaluate(model, rows, seed=5).value)
    assert not torch.equal(evaluate(model, rows, seed=5).value, evaluate(model, rows, seed=6).value)


def test_wrong_rows_are_refused(normal, rows):
    with pytest.raises(ValueError, match=r"expected rows of shape \(n, \*\(3,\)\), got \(3,\)"):
        evaluate(normal(Event((3,))), rows[0])
    with pytest.raises(ValueError, match="samples of at least 1"):
        evaluate(normal(Event((3,))), rows, samples=0)


def test_nll_is_per_entry(normal, rows):
    found = nll(normal(Event((3,))).eval(), rows, generator=0)
    assert found == pytest.approx(float(-standard_normal_log_prob(rows).mean() / 3), rel=1e-5)
