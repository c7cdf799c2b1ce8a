"""Value and slope by hand are those of autograd, and whatever is not written out is left to it."""

import pytest
import torch
from torch import nn

from fairway.core.random import Rows, seeded
from fairway.networks.critic import MLPCritic
from fairway.networks.fourier import FourierMLP
from fairway.networks.mlp import MLP
from fairway.networks.pullback import value_and_slope

NETWORKS = {
    "affine": lambda: MLP(3, 1, hidden=()),
    "silu": lambda: MLP(3, 1, hidden=(8, 6)),
    "tanh": lambda: MLP(3, 1, hidden=(8, 6), act="tanh"),
    "relu": lambda: MLP(3, 1, hidden=(8, 6), act="relu"),
    "residual silu": lambda: MLP(3, 1, hidden=(8, 8, 8), residual=True),
    "residual tanh": lambda: MLP(3, 1, hidden=(3, 3), act="tanh", residual=True),
    "residual relu": lambda: MLP(3, 1, hidden=(8, 8, 8), act="relu", residual=True),
    "waves": lambda: FourierMLP(3, 1, hidden=(8, 8), features=6),
    "waves, relu": lambda: FourierMLP(3, 1, hidden=(8,), features=6, act="relu"),
    "sequential": lambda: nn.Sequential(nn.Linear(3, 7), nn.Tanh(), nn.Linear(7, 5, bias=False), nn.SiLU(), MLP(5, 1)),
    "relu in place": lambda: nn.Sequential(nn.Linear(3, 7), nn.ReLU(inplace=True), nn.Linear(7, 1)),
}


def by_autograd(network, x):
    point = x.clone().requires_grad_()
    value = network(point).reshape(len(x))
    return value.detach(), torch.autograd.grad(value.sum(), point)[0]


@pytest.mark.parametrize("name", list(NETWORKS))
def test_value_and_slope_are_those_of_autograd(name):
    with seeded(0):
        network = NETWORKS[name]().double()
    x = Rows(1, 40, dtype=torch.float64).normal(3) * 2
    before = x.clone()
    value, slope = value_and_slope(network, x)
    wanted = by_autograd(network, x)
    torch.testing.assert_close(value, wanted[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(slope, wanted[1], rtol=0, atol=1e-12)
    assert torch.equal(x, before) and not value.requires_grad and not slope.requires_grad
    assert float(slope.std()) > 1e-3 or name == "affine"


def test_it_follows_the_weights():
    """Nothing of an earlier call is kept."""
    network, x = MLP(2, 1, (8,)), Rows(0, 5).normal(2)
    first = value_and_slope(network, x)[1]
    with torch.no_grad():
        network.last.weight.mul_(-2)
    torch.testing.assert_close(value_and_slope(network, x)[1], -2 * first)


class Doubled(nn.Sequential):
    """Looks like a chain of layers, and is twice that."""

    def forward(self, x):
        return 2 * super().forward(x)


class Shifted(MLP):
    def forward(self, x):
        return super().forward(x + 1)


def watched():
    network = MLP(3, 1, (4,))
    network.layers[0].act.register_forward_hook(lambda module, given, out: 2 * out)
    return network


def doubled_inside():
    network = MLP(3, 1, (4,))
    network.layers[0].linear.register_forward_hook(lambda module, given, out: 2 * out)
    return network


def spied():
    network = MLP(3, 1, (4,))
    network.layers[0].register_forward_pre_hook(lambda module, given: (given[0] + 1,))
    return network


UNKNOWN = {
    "an activation": lambda: MLP(3, 1, (4,), act="gelu"),
    "a norm": lambda: nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 1)),
    "dropout": lambda: MLP(3, 1, (4,), dropout=0.5),
    "a hook": watched,
    "a hook inside a layer": doubled_inside,
    "a hook before": spied,
    "a norm of the weights": lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(3, 1)),
    "a critic": lambda: MLPCritic(3, hidden=(4,)),
    "a chain with a forward of its own": lambda: Doubled(nn.Linear(3, 1)),
    "a perceptron with a forward of its own": lambda: Shifted(3, 1, (4,)),
}


@pytest.mark.parametrize("name", list(UNKNOWN))
def test_what_is_not_written_out_is_left_to_autograd(name):
    assert value_and_slope(UNKNOWN[name](), torch.zeros(2, 3)) is None


def test_a_network_of_several_outputs_has_no_one_slope():
    assert value_and_slope(MLP(3, 2, (4,)), torch.zeros(5, 3)) is None
