"""Norm 1 whatever became of the weights, found in eval mode, too."""

import pytest
import torch
import torch.nn.functional as F

from fairway.core.random import seeded
from fairway.networks.spectral_layers import SpectralConv, SpectralLinear


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def built(kind, spread=0.5):
    with seeded(0):
        layer = SpectralLinear(7, 6) if kind == "linear" else SpectralConv(3, 5)
        layer = layer.double().eval()
        layer.weight.data.normal_(0, spread)
        layer.bias.data.normal_()
    return layer


def norm(weight):
    return float(torch.linalg.matrix_norm(weight.detach().flatten(1), 2))


@pytest.mark.parametrize("kind", ["linear", "conv"])
@pytest.mark.parametrize("spread", [1e-3, 0.5, 30])
def test_the_norm_is_1_whatever_became_of_the_weights(kind, spread):
    """Small weights are enlarged, too, unlike those of a map that is bounded."""
    assert norm(built(kind, spread).scaled()) == pytest.approx(1, rel=1e-2)


def test_they_map_by_the_weights_over_their_norm():
    linear, conv = built("linear"), built("conv")
    x, h = normal(4, 7), normal(4, 3, 6, 5)
    torch.testing.assert_close(
        linear(x), F.linear(x, linear.weight / norm(linear.weight), linear.bias), rtol=1e-2, atol=1e-2
    )
    wanted = F.conv2d(h, conv.weight / norm(conv.weight), conv.bias, padding=1)
    torch.testing.assert_close(conv(h), wanted, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_only_the_direction_of_the_weights_counts(kind):
    layer, x = built(kind), normal(4, *((7,) if kind == "linear" else (3, 6, 5)))
    once = layer(x)
    layer.weight.data.mul_(4)
    torch.testing.assert_close(layer(x), once)
    layer.vector.copy_(torch.linalg.svd(layer.weight.detach().flatten(1)).Vh[:1])
    (slope,) = torch.autograd.grad(layer(x).square().sum(), layer.weight)
    assert abs(float((slope * layer.weight.detach()).sum())) < 1e-6 * float(slope.abs().sum())


def test_training_moves_the_vector_by_one_iteration_and_eval_leaves_it():
    layer = built("conv")
    before, x = layer.vector.clone(), normal(1, 3, 4, 4)
    layer(x)
    assert torch.equal(layer.vector, before)
    layer.train()(x)
    matrix = layer.weight.detach().flatten(1)
    torch.testing.assert_close(layer.vector, F.normalize(before @ matrix.T @ matrix))
    for _ in range(300):
        layer(x)
    assert norm(layer.scaled()) == pytest.approx(1, rel=1e-4)


def test_after_other_weights_the_norm_of_torch_is_another():
    """Averaged weights are put in after training; what torch remembers is the direction of the last ones."""
    weights = [normal(5, 3, 3, 3, seed=seed) for seed in (1, 2)]
    theirs = torch.nn.utils.parametrizations.spectral_norm(torch.nn.Conv2d(3, 5, 3).double(), n_power_iterations=50)
    ours = SpectralConv(3, 5).double()
    for weight in weights:
        theirs.parametrizations.weight.original.data.copy_(weight)
        ours.weight.data.copy_(weight)
        if weight is weights[0]:
            theirs(normal(1, 3, 4, 4)), [ours(normal(1, 3, 4, 4)) for _ in range(50)]
            assert norm(theirs.weight) == pytest.approx(1, rel=1e-2) and norm(ours.scaled()) == pytest.approx(
                1, rel=1e-2
            )
        theirs.eval(), ours.eval()
    assert norm(theirs.weight) > 1.5 and norm(ours.scaled()) == pytest.approx(1, rel=1e-2)


def test_a_bias_may_be_left_out_and_is_not_saved():
    layer = SpectralConv(3, 5, bias=False)
    assert layer.bias is None and set(layer.state_dict()) == {"weight", "vector"}
    assert layer(torch.zeros(1, 3, 4, 4)).abs().sum() == 0
