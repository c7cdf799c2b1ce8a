"""Norms of linear maps: found on the operator itself, kept under the bound, remembered in a buffer."""

import pytest
import torch
import torch.nn.functional as F

from fairway.core.random import seeded
from fairway.networks.spectral_norm import BoundedConv, BoundedLinear

INPUTS = {"linear": (7,), "conv": (3, 5, 4)}


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def built(kind, bound=0.9, spread=0.5):
    with seeded(0):
        module = BoundedLinear(7, 6, bound) if kind == "linear" else BoundedConv(3, 4, (5, 4), 3, bound)
        module = module.double().eval()
        module.weight.data.normal_(0, spread)
    return module


def matrix(module, weight, kind):
    """The operator, column by column."""
    size = torch.Size(INPUTS[kind]).numel()
    basis = torch.eye(size, dtype=torch.float64).reshape(size, *INPUTS[kind])
    return module.apply_weight(basis, weight).flatten(1).T


@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_the_scaled_operator_has_the_norm_asked_for_whatever_became_of_the_weights(kind):
    module = built(kind)
    assert float(torch.linalg.matrix_norm(matrix(module, module.weight.detach(), kind), 2)) > 1
    norm = float(torch.linalg.matrix_norm(matrix(module, module.scaled().detach(), kind), 2))
    assert norm == pytest.approx(0.9, rel=5e-3)


def test_it_is_not_the_norm_of_the_kernel_as_a_matrix():
    module = built("conv")
    reshaped = float(torch.linalg.matrix_norm(module.weight.detach().flatten(1), 2))
    norm = float(torch.linalg.matrix_norm(matrix(module, module.weight.detach(), "conv"), 2))
    assert norm > 1.2 * reshaped


@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_a_map_within_its_bound_is_left_alone(kind):
    module = built(kind, spread=1e-3)
    assert torch.equal(module.scaled(), module.weight)


@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_the_adjoint_is_the_adjoint(kind):
    module = built(kind)
    x = normal(1, *INPUTS[kind])
    image = module.apply_weight(x, module.weight)
    y = normal(*image.shape, seed=1)
    back = module.apply_adjoint(y, module.weight)
    torch.testing.assert_close((image * y).sum(), (x * back).sum())


def test_the_buffer_moves_in_training_only_and_by_one_iteration():
    module = built("linear")
    before = module.vector.clone()
    module.scaled()
    assert torch.equal(module.vector, before)
    module.train().scaled()
    expected = F.normalize(before @ module.weight.detach().T @ module.weight.detach())
    torch.testing.assert_close(module.vector, expected)
    assert "vector" in module.state_dict()


def test_a_few_steps_of_training_settle_what_eval_searches_for():
    module = built("conv")
    exact = module.scaled().detach()
    module.train()
    for _ in range(60):
        module.scaled()
    torch.testing.assert_close(module.scaled().detach(), exact, rtol=5e-3, atol=0)


def test_the_gradient_knows_that_the_norm_moves_with_the_weights():
    module = built("linear")
    module.weight.data.mul_(3)
    module.vector.copy_(torch.linalg.svd(module.weight.detach()).Vh[:1])
    target = normal(6, 7)
    (slope,) = torch.autograd.grad((module.scaled() * target).sum(), module.weight)
    assert abs(float((slope * module.weight.detach()).sum())) < 1e-3 * float(slope.abs().sum())


def test_zero_weights_stay_zero():
    module = built("linear", spread=0.0)
    assert torch.equal(module.scaled(), torch.zeros(6, 7, dtype=torch.float64))
