"""Relation, method and error of a likelihood."""

import math

import pytest
import torch

from fairway.core.event import Event
from fairway.core.numerics import standard_normal_log_prob
from fairway.core.random import Rows, generator_for
from fairway.data.dataset import Dataset
from fairway.metrics.evaluate import evaluate, nll
from fairway.models.diffusion.mixture import MixtureDenoiser
from fairway.models.flow.cnf import CNF


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


def _correlated(dims):
    """A Gaussian's exact denoiser; noise of the schedule ends pure, so that probes alone are in error."""
    one, root = torch.ones(1, dtype=torch.float64), 0.5 * torch.eye(dims, dtype=torch.float64) + 0.2
    return MixtureDenoiser(one, one.new_zeros(1, dims), (root @ root.mT / 2)[None]).double()


def test_a_density_by_probes_has_the_error_of_its_probes():
    """20 entries: log_prob is Hutchinson's estimate, known here in closed form."""
    model = _correlated(20)
    model.density_steps = 12
    x = Rows(3, 50, dtype=torch.float64).normal(20) * 0.7
    found, exact = evaluate(model, x, samples=16), model.log_prob_at(x, x.new_zeros(50))
    assert (found.relation, found.method) == ("equal", "estimate")
    scores = (found.value - exact) / found.mc_error
    assert found.mc_error.gt(0.01).all() and float(scores.square().mean().sqrt()) == pytest.approx(1.0, abs=0.3)
    assert abs(float((found.value - exact).mean())) < 4 * float(found.mc_error.square().sum().sqrt() / 50) + 1e-3
    torch.testing.assert_close(evaluate(model, x[:9], samples=16).value, found.value[:9])


def test_so_has_that_of_a_continuous_flow():
    estimate, exact = (CNF(Event((3,)), hidden=(8,), trace=trace).double().eval() for trace in ("hutchinson", "exact"))
    for parameter, other in zip(estimate.parameters(), exact.parameters(), strict=True):
        parameter.data.normal_(std=0.4, generator=generator_for(parameter.numel()))
        other.data.copy_(parameter.data)
    x = Rows(4, 100, dtype=torch.float64).normal(3)
    found, wanted = evaluate(estimate, x, samples=32), evaluate(exact, x)
    assert (found.method, wanted.method) == ("estimate", "numerical") and not wanted.mc_error.any()
    scores = (found.value - wanted.value) / found.mc_error
    assert found.mc_error.gt(0).all() and float(scores.square().mean().sqrt()) == pytest.approx(1.0, abs=0.25)


def _noisy(normal, event):
    """N(0, I) whose density is seen with an error of 3 nats."""

    class Noisy(normal):
        likelihood = "estimate"

        def _log_prob_estimate(self, u, context, rows):
            return self._log_prob(u, context) + 3 * rows.normal()

    return Noisy(event).eval()


@pytest.mark.parametrize(("event", "relation"), [(Event((3,)), "equal"), (Event((3,), "integer", high=7), "lower")])
def test_the_noise_of_an_estimate_is_in_the_error_of_a_density_and_of_a_bound(event, relation, normal):
    x = torch.ones(400, 3, dtype=torch.float32 if relation == "equal" else torch.int64)
    found = evaluate(_noisy(normal, event), x, samples=25)
    assert (found.relation, found.method) == (relation, "estimate")
    assert float(found.mc_error.mean()) == pytest.approx(3 / 5, rel=0.1)
    assert float(found.value.std()) == pytest.approx(3 / 5, rel=0.15)
    assert float(found.standard_error) == pytest.approx(3 / 5 / 20, rel=0.15)  # rows have errors of their own
    assert relation == "lower" or evaluate(_noisy(normal, event), x, samples=1).mc_error.isnan().all()


def test_an_estimate_that_cannot_be_drawn_again_has_an_unknown_error(normal, rows, monkeypatch):
    monkeypatch.setattr(normal, "likelihood", "estimate")
    assert evaluate(normal(Event((3,))), rows).mc_error.isnan().all()


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
