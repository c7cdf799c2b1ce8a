"""The continuous flow: a density by integrating a trace, exact or estimated, both ways along one equation."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows, seeded
from fairway.models.flow.cnf import CNF
from fairway.networks.time_mlp import TimeMLP
from fairway.objectives.kinetic_mle import KineticMLE
from fairway.training.fit import fit


def redrawn(event, context_event=None, spread=0.4, **options):
    with seeded(0):
        model = CNF(event, context_event, hidden=(8, 8), **options).double()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=spread)
    return model.eval().requires_grad_(False)


def normal(*shape, seed=0):
    return Rows(seed, shape[0], dtype=torch.float64).normal(*shape[1:])


def test_as_built_it_is_the_identity():
    x = normal(5, 3)
    torch.testing.assert_close(CNF(Event((3,)), hidden=(8,)).double().eval().encode(x), x)


@pytest.mark.parametrize("event", [Event((2,)), Event((20,)), Event((2, 2, 3))], ids=repr)
def test_inverse_both_ways(event):
    model, u = redrawn(event, spread=0.3, solver_steps=12), normal(12, *event.shape)
    torch.testing.assert_close(model.decode(model.encode(u)), u, atol=1e-8, rtol=0)
    torch.testing.assert_close(model.encode(model.decode(u)), u, atol=1e-8, rtol=0)


def test_the_density_integrates_to_one():
    model, line = redrawn(Event((2,))), torch.linspace(-8, 8, 100, dtype=torch.float64)
    mass = model.log_prob(torch.cartesian_prod(line, line)).exp().sum() * (line[1] - line[0]) ** 2
    assert float(mass) == pytest.approx(1.0, abs=1e-3)


def test_the_likelihood_says_how_its_trace_was_taken():
    assert CNF(Event((16,)), hidden=(4,)).likelihood == "numerical"
    assert CNF(Event((17,)), hidden=(4,)).likelihood == "estimate"
    assert CNF(Event((2,)), hidden=(4,), trace="hutchinson").likelihood == "estimate"
    assert CNF(Event((17,)), hidden=(4,), trace="exact").likelihood == "numerical"


def test_an_estimated_density_is_deterministic_and_near_the_exact_one():
    estimate, exact = redrawn(Event((20,)), spread=0.3), redrawn(Event((20,)), spread=0.3, trace="exact")
    x = normal(30, 20)
    assert torch.equal(estimate.log_prob(x), estimate.log_prob(x))
    rows = Rows(5, 2000, dtype=torch.float64)
    spread = float(exact._log_prob(x[:1])) - estimate._log_prob_and_path(x[:1].expand(2000, 20), None, rows)[0]
    assert abs(float(spread.mean())) < 4 * float(spread.std()) / 2000**0.5
    off = (estimate.log_prob(x) - exact.log_prob(x)).abs()
    assert 0 < float(off.max()) < 6 * float(spread.std()) / 4  # sixteen signs halve the error twice


def test_draws_know_their_density_and_carry_the_gradient():
    model = redrawn(Event((2,)), Event((3,))).requires_grad_(True)
    context = torch.tensor([0.5, -1.0, 2.0])
    x, log_prob = model.sample_and_log_prob(6, context=context, generator=0)
    torch.testing.assert_close(log_prob, model.log_prob(x, context.expand(6, 3)), atol=1e-5, rtol=1e-5)
    x.square().sum().backward()
    assert all(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in model.parameters())


def test_the_kinetic_energy_bounds_the_way():
    """By Jensen, |u(1) - u(0)|^2 <= int |v|^2 dt, with equality on straight lines at constant speed."""
    model, u = redrawn(Event((3,))), normal(20, 3)
    path = model.transform.path(u)
    way = (path.end - u).square().sum(1)
    assert bool((way <= path.kinetic + 1e-9).all()) and float((path.kinetic - way).min()) > 1e-4


def test_a_weight_on_the_path_straightens_it():
    x = torch.cat([normal(150, 1) - 3, normal(150, 1, seed=1) + 3]).repeat(1, 2).float() + 0.3 * normal(300, 2).float()

    def waste(weight):
        """Kinetic energy beyond that of the straight way, per row."""
        start = CNF(Event((2,)), hidden=(16,), solver_steps=2)
        model = fit(start, x, objective=KineticMLE(weight, weight), steps=80, lr=2e-2)
        with torch.no_grad():
            u = model.preprocess.to_model(x)[0].float()
            path = model.transform.path(u)
        return float((path.kinetic - (path.end - u).square().sum(1)).mean())

    assert waste(0.1) < 0.7 * waste(0.0)


def test_evaluations_are_reported():
    model = redrawn(Event((2,)), solver_steps=3)
    assert model.draw(2, generator=0).evaluations == model.strokes == 4 * 12
    health = model.health()
    assert health["evaluations"] == 48 and 0 < health["solver_error"] < 1e-4
    assert model.train().health()["evaluations"] == 12 and model.health()["solver_error"] > health["solver_error"]
    assert redrawn(Event((2,)), Event((3,))).health()["solver_error"] > 0


def test_a_network_of_your_own():
    with seeded(0):
        network = TimeMLP(2, 1, hidden=(8,), conditions=8)
        torch.nn.init.normal_(network.last[1].weight)
        model = CNF(Event((2,)), Event((1,)), network=network, solver_steps=3).double().eval()
    x, context = normal(4, 2), normal(4, 1)
    torch.testing.assert_close(model.decode(model.encode(x, context), context), x, atol=1e-2, rtol=0)
    assert model.log_prob(x, context).isfinite().all()


@pytest.mark.parametrize(("wrong", "says"), [({"solver_steps": 0}, "solver_steps"), ({"trace": "auto"}, "trace")])
def test_wrong_arguments_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        CNF(Event((2,)), **wrong)
