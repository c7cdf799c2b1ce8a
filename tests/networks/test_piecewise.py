"""A slope written out is that of autograd, and so is what a loss of it owes to the weights."""

import pytest
import torch

from fairway.core.random import Rows, seeded
from fairway.networks.critic import MLPCritic
from fairway.networks.mlp import MLP
from fairway.networks.piecewise import value_and_slope


def network(act="relu", hidden=(16, 8, 5), **options):
    with seeded(0):
        return MLP(3, 1, hidden, act=act, **options).double()


def differentiated(net, x):
    x = x.clone().requires_grad_()
    y = net(x).squeeze(1)
    return y, torch.autograd.grad(y.sum(), x, create_graph=True)[0]


X = Rows(0, 7, dtype=torch.float64).normal(3)
LOSSES = {
    "both": lambda y, slope: y.sigmoid().square().sum() + (slope.norm(dim=1) - 1).square().sum(),
    "the value": lambda y, slope: y.sigmoid().sum(),
    "the slope": lambda y, slope: slope.square().sum(),
}


@pytest.mark.parametrize("act", ["relu", "leaky_relu"])
@pytest.mark.parametrize("hidden", [(16, 8, 5), (4,), ()])
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_value_slope_and_what_they_owe_are_those_of_autograd(act, hidden, loss):
    net = network(act, hidden)
    found, known = value_and_slope(net, X), differentiated(net, X)
    torch.testing.assert_close(found, known, rtol=1e-12, atol=1e-12)
    owed, wanted = (
        torch.autograd.grad(loss(*pair), list(net.parameters()), materialize_grads=True, allow_unused=True)
        for pair in (found, known)
    )
    torch.testing.assert_close(owed, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("options", [{"act": "silu"}, {"hidden": (8, 8), "residual": True}, {"dropout": 0.5}])
def test_another_layer_is_left_to_autograd(options):
    assert value_and_slope(network(**options), X) is None


def test_so_are_networks_with_listeners_several_outputs_and_rows_that_learn():
    net = network()
    assert value_and_slope(net, X.clone().requires_grad_()) is None
    with seeded(0):
        assert value_and_slope(MLP(3, 2, (8,), act="relu").double(), X) is None
    for module in (net, net.layers[0].linear, net.last):
        handle = module.register_forward_hook(lambda *_: None)
        assert value_and_slope(net, X) is None
        handle.remove()
    assert value_and_slope(net, X) is not None


def test_a_critics_slope_is_that_in_the_row_and_not_in_its_context():
    with seeded(0):
        critic = MLPCritic(6, (8,)).double()
    u, context = X[:, :2].unsqueeze(2), torch.cat([X, X[:, :1]], 1)
    value, slope = critic.value_and_slope(u, context)
    point = u.clone().requires_grad_()
    known = critic(point, context)
    torch.testing.assert_close(value, known, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(slope, torch.autograd.grad(known.sum(), point)[0], rtol=1e-12, atol=1e-12)
    critic.register_forward_hook(lambda *_: None)
    assert critic.value_and_slope(u, context) is None
