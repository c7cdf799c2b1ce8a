"""Masked networks: who sees whom, by autograd, and one variable at a time against one pass."""

import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from fairway.core.config import from_json, to_json
from fairway.core.random import seeded
from fairway.networks.masked import MaskedLinear, MaskedMLP

CASES = {
    "plain": dict(variables=5, outputs=2, hidden=(12, 12)),
    "order": dict(variables=5, outputs=2, hidden=(12, 9), order=(3, 0, 4, 1, 2)),
    "features": dict(variables=4, outputs=3, hidden=(11, 11), features=3, order=(2, 0, 3, 1)),
    "residual": dict(variables=5, hidden=(10, 10, 8, 8), residual=True, order=(4, 3, 2, 1, 0)),
    "direct": dict(variables=4, outputs=2, hidden=(8,), features=2, direct=True, order=(1, 3, 0, 2)),
    "context": dict(variables=4, outputs=2, hidden=(9, 9), context=3, residual=True, order=(1, 3, 0, 2)),
    "linear": dict(variables=4, outputs=2, hidden=(), order=(3, 1, 2, 0)),
    "narrow": dict(variables=6, outputs=1, hidden=(2, 3)),
    "one variable": dict(variables=1, outputs=2, hidden=(4,)),
    "one variable in a context": dict(variables=1, outputs=2, hidden=(4,), context=2),
}


def build(name, **options):
    with seeded(1):
        return MaskedMLP(**{**CASES[name], **options}).double().eval()


def inputs(network, n=3):
    x = torch.randn(n, network.variables, network.features, dtype=torch.float64)
    layer = network.layers[0].context
    return x, None if layer is None else torch.randn(n, layer.in_features, dtype=torch.float64)


def seen(network):
    """(D, D) booleans: output i moves with variable j somewhere."""
    x, context = inputs(network)
    jacobian = torch.autograd.functional.jacobian(lambda v: network(v, context).sum(0), x)
    return jacobian.abs().amax((1, 2, 4)) > 0  # (D, outputs, n, D, features)


@pytest.mark.parametrize("name", CASES)
def test_the_jacobian_is_strictly_triangular_in_the_order(name):
    network = build(name)
    before = network.rank.unsqueeze(1) > network.rank
    found = seen(network)
    assert not bool((found & ~before).any())
    if name != "narrow":  # wide enough: every variable before it is seen
        assert torch.equal(found, before)


@pytest.mark.parametrize("name", CASES)
def test_steps_give_what_one_pass_gives(name):
    network = build(name)
    x, context = inputs(network)
    whole = network(x, context)
    state, previous = network.init_state(len(x), context), None
    for variable in network.order:
        torch.testing.assert_close(network.step(state, previous), whole[:, variable], rtol=1e-10, atol=1e-10)
        previous = x[:, variable]


def test_one_context_for_all_rows():
    network = build("context")
    x, context = inputs(network)
    state = network.init_state(len(x), context[:1])
    torch.testing.assert_close(network.step(state, None), network(x, context[:1].expand(3, -1))[:, network.order[0]])


def test_all_steps_together_cost_no_more_than_one_pass():
    """Every weight is used once: naive steps would cost D passes."""
    network = build("plain", variables=20, hidden=(60, 60))
    x, _ = inputs(network, 8)
    with FlopCounterMode(display=False) as one_pass:
        network(x)
    with FlopCounterMode(display=False) as steps:
        state, previous = network.init_state(len(x)), None
        for variable in network.order:
            network.step(state, previous)
            previous = x[:, variable]
    assert 0 < steps.get_total_flops() <= one_pass.get_total_flops()


def test_every_output_sees_the_context_and_nobody_needs_one():
    network = build("context")
    x, context = inputs(network)
    jacobian = torch.autograd.functional.jacobian(lambda c: network(x, c).sum(0), context)
    assert bool((jacobian.abs().amax((1, 2, 3)) > 0).all())  # the first variable's, too
    assert network(x).shape == (3, 4, 2)


def test_masked_weights_neither_act_nor_learn():
    with seeded(0):
        mask = torch.tensor([[True, False, True], [False, False, False]])
        layer = MaskedLinear(mask, context=2).double()
    x, context = torch.randn(4, 3, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    expected = x @ (layer.weight * mask).T + layer.bias + context @ layer.context.weight.T
    torch.testing.assert_close(layer(x, context), expected)
    torch.testing.assert_close(layer(x), x @ (layer.weight * mask).T + layer.bias)
    layer(x, context).square().sum().backward()
    assert torch.equal(layer.weight.grad != 0, mask)


def test_a_unit_with_few_inputs_starts_on_the_scale_of_one_with_many():
    with seeded(0):
        network = MaskedMLP(200, hidden=(400,))
    out = (network.layers[0](torch.randn(2000, 200)) - network.layers[0].bias).detach()
    first, last = out[:, :20].std(), out[:, -20:].std()
    assert 0.5 < float(first / last) < 2


def test_degrees_are_sorted_and_even():
    network = build("plain", variables=5, hidden=(10, 3))
    assert network.degrees[0].bincount().tolist() == [3, 2, 3, 2] and network.degrees[1].tolist() == [0, 1, 2]
    assert build("context").degrees[0].unique().tolist() == [-1, 0, 1, 2]


def test_residual_layers_add_their_input_where_widths_agree():
    network = build("residual")  # widths 10, 10, 8, 8
    x, _ = inputs(network)
    h, act = x.flatten(1), network.act
    first, second, third, fourth, last = network.layers
    h = act(first(h))
    h = h + act(second(h))
    h = act(third(h))
    h = h + act(fourth(h))
    torch.testing.assert_close(network(x).flatten(1), last(h))


def test_dropout_only_in_training():
    network = build("plain", dropout=0.5)
    x, _ = inputs(network)
    assert torch.equal(network(x), network(x))
    network.train()
    assert not torch.equal(network(x), network(x))
    assert not bool((seen(network) & (network.rank.unsqueeze(1) <= network.rank)).any())


def test_configuration():
    network = MaskedMLP(3, outputs=2, hidden=[6], order=[2, 1, 0], residual=True)
    again = from_json(json.loads(json.dumps(to_json(network))))
    assert type(again) is MaskedMLP and again.arguments == {**network.arguments, "hidden": (6,), "order": (2, 1, 0)}
    again.load_state_dict(network.state_dict())
    assert torch.equal(again.eval()(torch.ones(2, 3)), network.eval()(torch.ones(2, 3)))


def test_an_order_is_a_permutation():
    with pytest.raises(ValueError, match=r"expected order as a permutation of 0, \.\.\., 2, got \[0, 1, 1\]"):
        MaskedMLP(3, order=[0, 1, 1])
