"""The perceptron: its formula, its options, and its configuration."""

import json

import pytest
import torch

from fairway.core.config import from_json, to_json
from fairway.networks.mlp import ACTIVATIONS, MLP, activation


def test_the_formula():
    network = MLP(3, 2, hidden=(4,), act="tanh").double()
    x = torch.randn(5, 3, dtype=torch.float64)
    first, last = network.layers[0].linear, network.last
    expected = torch.tanh(x @ first.weight.T + first.bias) @ last.weight.T + last.bias
    assert torch.allclose(network(x), expected)


def test_residual_layers_add_their_input_where_widths_agree():
    network = MLP(4, 2, hidden=(4, 4, 3), residual=True)
    assert [layer.residual for layer in list(network.layers)[:-1]] == [True, True, False]
    x = torch.randn(5, 4)
    first = network.layers[0]
    assert torch.allclose(first(x), x + first.act(first.linear(x)))


def test_no_hidden_layer_is_an_affine_map():
    network = MLP(3, 2, hidden=())
    assert network.last is network.layers[0] and network(torch.zeros(1, 3)).shape == (1, 2)


def test_dropout_only_in_training():
    network, x = MLP(3, 2, dropout=0.5), torch.randn(5, 3)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


@pytest.mark.parametrize("act", list(ACTIVATIONS))
def test_configuration(act):
    network = from_json(json.loads(json.dumps(to_json(MLP(2, 3, hidden=[5], act=act, residual=True)))))
    assert network.arguments["hidden"] == (5,) and isinstance(network.layers[0].act, ACTIVATIONS[act])


def test_unknown_activations_are_refused():
    with pytest.raises(ValueError, match=r"expected an activation among silu, relu, .*got 'swich'"):
        activation("swich")
