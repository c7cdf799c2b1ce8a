"""Maximum likelihood by an unbiased estimate: whose noise is the step's, and which models it takes."""

import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.flow.i_resnet import IResNet
from fairway.models.flow.real_nvp import RealNVP
from fairway.objectives.unbiased_mle import UnbiasedMLE


def flow(dims):
    with seeded(0):
        return IResNet(Event((dims,)), transforms=2, hidden=(4,)).double()


def loss(model, seed, u):
    return UnbiasedMLE().loss(Batch(u), model, phase=Phase(), generator=Rows(seed, len(u), dtype=torch.float64)).total


def rows(dims):
    return torch.randn(30, dims, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_it_is_the_mean_negative_estimate_per_entry():
    model = flow(20).eval()
    estimate = model._log_prob_estimate(rows(20), None, Rows(3, 30, dtype=torch.float64))
    torch.testing.assert_close(loss(model, 3, rows(20)), -estimate.mean() / 20)


def test_the_same_noise_gives_the_same_loss_and_other_noise_another():
    model = flow(20).eval()
    assert torch.equal(loss(model, 3, rows(20)), loss(model, 3, rows(20)))
    assert not torch.equal(loss(model, 3, rows(20)), loss(model, 4, rows(20)))


def test_where_the_density_is_exact_it_is_the_likelihood():
    model = flow(3).eval()
    torch.testing.assert_close(loss(model, 3, rows(3)), -model._log_prob(rows(3)).mean() / 3)


def test_a_model_without_an_estimate_is_told_what_to_take():
    with pytest.raises(CapabilityError, match="takes mle"):
        UnbiasedMLE().check(RealNVP(Event((2,)), transforms=1, hidden=(4,)))
    UnbiasedMLE().check(flow(2))
