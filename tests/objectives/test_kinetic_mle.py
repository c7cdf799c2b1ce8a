"""The loss is the likelihood's plus weighted costs, per entry; signs are fresh at every step of an estimate."""

import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.classical.gaussian import Gaussian
from fairway.models.flow.cnf import CNF
from fairway.objectives.kinetic_mle import KineticMLE


def flow(dims=2, **options):
    with seeded(0):
        model = CNF(Event((dims,)), hidden=(8,), **options).double()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
    return model


def loss_of(model, objective, seed=0):
    u = Rows(9, 6, dtype=torch.float64).normal(model.dims)
    return objective.loss(Batch(u), model, phase=Phase(), generator=Rows(seed, 6, dtype=torch.float64))


def test_the_loss_is_the_weighted_sum_per_entry():
    loss = loss_of(flow(), KineticMLE(kinetic=0.5, jacobian=0.25))
    nll, kinetic, jacobian = (float(loss.terms[name].detach()) for name in ("nll", "kinetic", "jacobian"))
    assert float(loss.total.detach()) == pytest.approx(nll + 0.5 * kinetic + 0.25 * jacobian)
    u = Rows(9, 6, dtype=torch.float64).normal(2)
    assert nll == pytest.approx(-float(flow().train()._log_prob(u).mean().detach()) / 2)
    assert kinetic > 0 and jacobian > 0


def test_signs_are_fresh_at_every_step_of_an_estimate():
    model = flow(4, trace="hutchinson")
    first, again, other = (float(loss_of(model, KineticMLE(), seed).total.detach()) for seed in (0, 0, 1))
    assert first == again != other


def test_what_has_no_path_and_negative_weights_are_refused():
    with pytest.raises(CapabilityError, match="path"):
        KineticMLE().check(Gaussian(Event((2,))))
    with pytest.raises(ValueError, match="jacobian"):
        KineticMLE(jacobian=-1.0)
