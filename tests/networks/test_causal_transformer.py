"""What is said of a token depends on those before it alone; one token at a time says the same as all at once."""

import pytest
import torch

from fairway.core.random import Rows, seeded
from fairway.networks.causal_transformer import CausalTransformer


def redrawn(context=0, **options):
    with seeded(0):
        network = CausalTransformer(5, 3, 4, context, width=8, layers=2, heads=2, **options).double()
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return network.eval().requires_grad_(False)


def normal(*shape, seed=0):
    return Rows(seed, shape[0], dtype=torch.float64).normal(*shape[1:])


def steps(network, x, context=None):
    state, previous, said = network.init_state(len(x), context), None, []
    for token in x.unbind(1):
        said.append(network.step(state, previous))
        previous = token
    return torch.stack(said, 1)


def test_it_starts_at_zero():
    assert torch.equal(CausalTransformer(5, 3, 4)(normal(2, 5, 3).float()), torch.zeros(2, 5, 4))


def test_no_token_sees_itself_or_later_ones():
    network, x = redrawn(), normal(1, 5, 3)
    jacobian = torch.autograd.functional.jacobian(lambda v: network(v).sum((0, 2)), x)[:, 0]  # (T, T, 3)
    reach = jacobian.abs().sum(2) > 0
    assert torch.equal(reach, torch.ones(5, 5).tril(-1).bool())


@pytest.mark.parametrize("context", [None, normal(4, 2, seed=3)], ids=["alone", "context"])
def test_one_at_a_time_says_the_same(context):
    network, x = redrawn(0 if context is None else 2), normal(4, 5, 3)
    torch.testing.assert_close(steps(network, x, context), network(x, context))


def test_steps_carry_the_gradient():
    network, x = redrawn(), normal(2, 5, 3).requires_grad_()
    (ours,) = torch.autograd.grad(steps(network, x).square().sum(), x)
    (wanted,) = torch.autograd.grad(network(x).square().sum(), x)
    torch.testing.assert_close(ours, wanted)


def test_a_second_derivative_exists():
    network, x = redrawn(), normal(2, 5, 3).requires_grad_()
    (slope,) = torch.autograd.grad(network(x).square().sum(), x, create_graph=True)
    assert torch.autograd.grad(slope.square().sum(), x)[0].isfinite().all()


def test_a_dropped_context_is_the_missing_one_and_only_in_training():
    network, x, context = redrawn(2, context_dropout=0.5), normal(40, 5, 3), normal(40, 2, seed=3)
    with_it, without = network(x, context), network(x, None)
    with seeded(1):
        seen = network.train()(x, context)
    told, lost = ((seen - y).abs().amax((1, 2)) < 1e-9 for y in (with_it, without))
    assert bool((told ^ lost).all()) and 8 < int(lost.sum()) < 32
    torch.testing.assert_close(network.eval()(x, context), with_it)


def test_heads_must_divide_the_width():
    with pytest.raises(ValueError, match="multiple of heads=3"):
        CausalTransformer(5, 3, 4, width=8, heads=3)
