"""What tests of objectives with chains share: a kernel that stays, and an energy whose model is a normal law."""

import pytest
import torch
from torch import nn

from fairway.core.event import Event
from fairway.models.energy.energy import EBM
from fairway.samplers.kernel import Info, Kernel, State


class Still(Kernel):
    """A kernel that does not move."""

    def noise(self, target):
        return {}

    def init(self, target, u):
        value, grad = target.value_and_grad(u)
        return State(u, value, grad, torch.ones_like(value))

    def step(self, target, state, noise):
        return state, Info(torch.ones_like(state.value))


@pytest.fixture
def still():
    return Still()


@pytest.fixture
def tilted():
    """slope -> an EBM with f(u) = slope u on N(0, 1), which is N(slope, 1)."""

    def build(slope=0.5):
        network = nn.Linear(1, 1, bias=False)
        nn.init.constant_(network.weight, slope)
        return EBM(Event((1,)), network=network)

    return build
