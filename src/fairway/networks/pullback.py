"""A network's value and its slope in the input, without a graph: what a chain asks for at every move.

    y = L_n(... L_1(x)),      g_n = 1,   g_(k-1) = g_k dL_k/dx,      dy/dx = g_0           (reverse mode, by hand)

A graph also keeps the ways to the weights, which no chain needs, and costs as much as the products where batches and
widths are small. Perceptrons are written out here, layer by layer; whatever is not known goes by autograd.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairway.networks.fourier import FourierMLP
from fairway.networks.mlp import MLP, Layer

Pull = Callable[[Tensor], Tensor]


def value_and_slope(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor] | None:
    """The one output of every row (B,) and its slope (B, D), detached; None of several, or where a layer is not known.

    >>> network, x = MLP(2, 1, (8,)), torch.zeros(3, 2)
    >>> value, slope = value_and_slope(network, x)
    >>> value.shape, slope.shape
    (torch.Size([3]), torch.Size([3, 2]))
    """
    with torch.no_grad():
        try:
            value, pull = _forward(network, x)
        except _Unknown:
            return None
        return None if value.numel() != len(x) else (value.reshape(len(x)), pull(torch.ones_like(value)))


class _Unknown(Exception):
    """A layer that is not written out here, or one that is watched."""


def _forward(module: nn.Module, x: Tensor) -> tuple[Tensor, Pull]:
    rule = FORWARD.get(type(module))
    if rule is None or module._forward_hooks or module._forward_pre_hooks:
        raise _Unknown
    return rule(module, x)


def _perceptron(network: Any, x: Tensor) -> tuple[Tensor, Pull]:
    return _forward(network.layers, x)


def _chain(layers: Any, x: Tensor) -> tuple[Tensor, Pull]:
    pulls: list[Pull] = []
    for layer in layers._modules.values():
        x, pull = _forward(layer, x)
        pulls.append(pull)

    def back(g: Tensor) -> Tensor:
        for pull in reversed(pulls):
            g = pull(g)
        return g

    return x, back


def _layer(layer: Any, x: Tensor) -> tuple[Tensor, Pull]:
    if layer.dropout is not None:
        raise _Unknown
    a, to_x = _forward(layer.linear, x)
    out, to_a = _forward(layer.act, a)
    if layer.residual:
        return out.add_(x), lambda g: torch.addmm(g, to_a(g), layer.linear.weight)
    return out, lambda g: to_x(to_a(g))


def _waves(network: Any, x: Tensor) -> tuple[Tensor, Pull]:
    angle = x @ network.frequencies
    cos, sin = angle.cos(), angle.sin()
    out, pull = _forward(network.body, torch.cat([x, cos, sin], 1))

    def back(g: Tensor) -> Tensor:
        to_x, to_cos, to_sin = pull(g).split([x.shape[1], cos.shape[1], sin.shape[1]], 1)
        return torch.addmm(to_x, to_sin * cos - to_cos * sin, network.frequencies.T)

    return out, back


def _linear(layer: Any, x: Tensor) -> tuple[Tensor, Pull]:
    weight = layer.weight
    return F.linear(x, weight, layer.bias), lambda g: g @ weight


def _silu(layer: Any, x: Tensor) -> tuple[Tensor, Pull]:
    return F.silu(x), lambda g: torch.ops.aten.silu_backward(g, x)


def _relu(layer: Any, x: Tensor) -> tuple[Tensor, Pull]:
    return x.relu(), lambda g: g * (x > 0)


def _tanh(layer: Any, x: Tensor) -> tuple[Tensor, Pull]:
    y = x.tanh()
    slope = 1 - y.square()  # now: a residual layer adds to y in place
    return y, lambda g: g * slope


FORWARD: dict[type[nn.Module], Callable[[Any, Tensor], tuple[Tensor, Pull]]] = {
    nn.Linear: _linear,
    nn.SiLU: _silu,
    nn.ReLU: _relu,
    nn.Tanh: _tanh,
    nn.Sequential: _chain,
    MLP: _perceptron,
    Layer: _layer,
    FourierMLP: _waves,
}
