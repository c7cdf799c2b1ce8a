"""A target answers with its gradient, whoever it was made from."""

import torch

from fairway.core.random import Rows
from fairway.samplers.target import Target


def test_target_derives_its_gradient():
    target = Target(lambda u: -u.pow(4).sum(1))
    u = Rows(0, 5, dtype=torch.float64).normal(2)
    value, grad = target.value_and_grad(u)
    torch.testing.assert_close(grad, -4 * u**3)
    assert not value.requires_grad
