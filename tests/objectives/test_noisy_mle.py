"""Noise of the size asked for, fresh with every seed; the minimiser is the blurred law."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows
from fairway.models.flow.real_nvp import RealNVP
from fairway.objectives.mle import MLE
from fairway.objectives.noisy_mle import NoisyMLE


def loss_of(objective, model, u, seed=0):
    rows = Rows(seed, len(u), dtype=torch.float64)
    return float(objective.loss(Batch(u), model, phase=Phase(), generator=rows).total.detach())


@pytest.fixture
def flow():
    return RealNVP(Event((2,)), transforms=1, hidden=(4,)).double()  # as built, N(0, I)


def test_the_loss_grows_by_the_noise_s_variance(flow):
    """Under N(0, I): E |u + s eps|^2 / 2 = |u|^2 / 2 + s^2 / 2 for every entry."""
    u = torch.zeros(20_000, 2, dtype=torch.float64)
    assert loss_of(NoisyMLE(0.5), flow, u) - loss_of(MLE(), flow, u) == pytest.approx(0.125, abs=0.005)


def test_noise_is_fresh_with_the_seed_and_none_is_mle(flow):
    u = torch.ones(8, 2, dtype=torch.float64)
    assert loss_of(NoisyMLE(), flow, u, 0) == loss_of(NoisyMLE(), flow, u, 0) != loss_of(NoisyMLE(), flow, u, 1)
    assert loss_of(NoisyMLE(0.0), flow, u) == loss_of(MLE(), flow, u)


@pytest.mark.parametrize("wrong", [-0.1, float("inf"), True])
def test_noise_is_a_number_of_at_least_zero(wrong):
    with pytest.raises(ValueError, match="noise"):
        NoisyMLE(wrong)
