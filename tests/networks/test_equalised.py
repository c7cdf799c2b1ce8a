"""He's constant at run time: outputs of the right size at any fan-in, and a step that means the same at any fan-in."""

import pytest
import torch

from fairway.networks.equalised import HE, EqualisedConv, EqualisedLinear

LAYERS = {"linear": lambda width: EqualisedLinear(width, 64), "conv": lambda width: EqualisedConv(width, 64)}
SHAPES = {"linear": (), "conv": (8, 8)}


def normal(*shape, seed=7):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", list(LAYERS))
@pytest.mark.parametrize("width", [16, 512])
def test_outputs_have_twice_the_mean_square_of_inputs(kind, width):
    y = LAYERS[kind](width)(normal(128, width, *SHAPES[kind]))
    inner = y[..., 1:-1, 1:-1] if kind == "conv" else y  # zeros around the border count for less
    assert float(inner.detach().square().mean()) == pytest.approx(2, rel=0.1)


def test_the_gain_is_a_factor():
    layer = EqualisedLinear(9, 5, gain=1.0)
    assert float(layer.scale) == pytest.approx(1 / 3)
    x = normal(4, 9)
    torch.testing.assert_close(layer(x), x @ layer.weight.T / 3)


@pytest.mark.parametrize("kind", list(LAYERS))
def test_a_step_of_adam_moves_any_layer_by_the_same_share(kind):
    """The learning rate over the spread of the weights, whatever the fan-in; of He's own weights it grows with it."""
    shares = []
    for width in (16, 512):
        layer = LAYERS[kind](width)
        before = (layer.weight * layer.scale).detach().clone()
        optimiser = torch.optim.Adam(layer.parameters(), lr=0.01)
        layer(normal(8, width, *SHAPES[kind])).square().mean().backward()
        optimiser.step()
        change = (layer.weight * layer.scale).detach() - before
        shares.append(float(change.abs().median() / before.std()))
    assert shares == pytest.approx([0.01, 0.01], rel=0.05)


def test_the_convolution_keeps_the_size_and_has_a_bias_or_none():
    assert EqualisedConv(3, 2)(normal(1, 3, 5, 7)).shape == (1, 2, 5, 7)
    assert EqualisedConv(3, 2, bias=False).bias is None and EqualisedLinear(3, 2).bias.tolist() == [0, 0]
    assert pytest.approx(2) == HE**2
