"""Memory is refused before it is asked for, and small models do not notice."""

import pytest
import torch
from torch import nn

from fairway.training.allowance import Allowance, TooLarge

HUGE = {
    "empty": lambda n: torch.empty(n),
    "zeros of a shape": lambda n: torch.zeros(2, n),
    "randn with a generator": lambda n: torch.randn(n, generator=torch.Generator()),
    "arange": lambda n: torch.arange(n),
    "eye": lambda n: torch.eye(n, 1),
    "new zeros": lambda n: torch.ones(1).new_zeros(n),
    "repeat": lambda n: torch.ones(1).repeat(n),
    "linear": lambda n: nn.Linear(1, n),
    "embedding": lambda n: nn.Embedding(n, 4),
}


@pytest.mark.parametrize("make", list(HUGE.values()), ids=list(HUGE))
@pytest.mark.parametrize("size", [10**9, 10**15])
def test_a_tensor_too_large_is_never_made(make, size):
    with Allowance(10**6, 100), pytest.raises(TooLarge, match="a tensor of"):
        make(size)


@pytest.mark.parametrize("n", range(1000, 1010))
def test_many_small_ones_come_to_an_end_and_leave_the_gradients_on(n):
    with Allowance(10**9, n), pytest.raises(TooLarge, match="more layers"):
        nn.ModuleList(nn.Linear(1, 1) for _ in range(10**12))
    assert torch.is_grad_enabled()


def test_within_it_the_same_numbers_come():
    torch.manual_seed(3)
    free = nn.Linear(4, 5)
    torch.manual_seed(3)
    with Allowance(10**4, 1000):
        counted = nn.Linear(4, 5)
    assert torch.equal(free.weight, counted.weight)


def test_a_wrong_call_says_what_torch_says():
    with Allowance(10**6, 100), pytest.raises(RuntimeError, match="negative"):
        torch.zeros(-3)
