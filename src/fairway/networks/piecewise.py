"""A perceptron of piecewise linear layers, its slope in the input, and what both owe to the weights, written out.

    h_l = D_l (W_l h_(l-1) + b_l),   y = w . h_L + b           D_l: 1 where the sum is positive, `negative` elsewhere
    g_L = w,   G_l = D_l g_l,   g_(l-1) = W_l^T G_l,           dy/dx = g_0

A loss of y and of g_0 (a critic with a penalty on its slope) has, with c = dL/dy and a_0 = dL/dg_0,

    dL/dW_l = sum over rows of G_l (c h_(l-1) + a_(l-1))^T,    dL/db_l = sum of c G_l,    a_l = D_l W_l a_(l-1)

since D_l is constant almost everywhere: one product for each weight, where differentiating twice takes two, and a
handful of operations where a graph has some hundred. Rows (B, D); y (B,).
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from fairway.networks.mlp import MLP, Layer


def value_and_slope(network: MLP, x: Tensor) -> tuple[Tensor, Tensor] | None:
    """y (B,) and dy/dx (B, D) of rows x without a gradient of their own, both differentiable in the weights.

    None where it is not written out: a layer that is not piecewise linear, a residual, dropout, hooks, several outputs.

    >>> y, slope = value_and_slope(MLP(2, 1, (8,), act="relu"), torch.zeros(3, 2))
    >>> y.shape, slope.shape
    (torch.Size([3]), torch.Size([3, 2]))
    """
    layers: list[Any] = list(network.layers)
    *hidden, last = layers
    kinks = [_kink(layer) for layer in hidden]
    if x.requires_grad or torch.compiler.is_compiling() or None in kinks or not _plain(network, network.layers, last):
        return None
    if last.out_features != 1 or last.bias is None:
        return None
    linears = [*(layer.linear for layer in hidden), last]
    found: tuple[Tensor, Tensor] = _Both.apply(
        x, kinks, *(p for linear in linears for p in (linear.weight, linear.bias))
    )
    return found


def _plain(*modules: nn.Module) -> bool:
    """Whether nobody listens."""
    return not any(module._forward_hooks or module._forward_pre_hooks for module in modules)


def _kink(layer: Any) -> float | None:
    """The slope of a layer below 0; None where it is another kind of layer."""
    if not isinstance(layer, Layer) or layer.residual or layer.dropout is not None or layer.linear.bias is None:
        return None
    if not _plain(layer, layer.linear, layer.act):
        return None
    return {nn.ReLU: 0.0, nn.LeakyReLU: getattr(layer.act, "negative_slope", 0.0)}.get(type(layer.act))


class _Both(torch.autograd.Function):
    """(x, slopes below 0, W_1, b_1, ..., w, b) -> y, dy/dx."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, kinks: Sequence[float], *weights: Tensor) -> tuple[Tensor, Tensor]:
        inputs, pulls, hidden = [x], list[Tensor](), weights[:-2:2]
        for negative, weight, bias in zip(kinks, hidden, weights[1:-2:2], strict=True):
            total = torch.addmm(bias, inputs[-1], weight.t())
            inputs.append(F.leaky_relu_(total, negative) if negative else total.relu_())
        y = torch.addmm(weights[-1], inputs[-1], weights[-2].t()).squeeze(1)
        g = weights[-2].expand(len(x), -1)
        for negative, h, weight in zip(reversed(kinks), reversed(inputs), reversed(hidden), strict=False):
            pulls.append(_masked(g, h, negative))
            g = pulls[-1] @ weight
        ctx.save_for_backward(*hidden, *inputs, *pulls[::-1])
        ctx.kinks = kinks
        ctx.set_materialize_grads(False)
        return y, g

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *owed: Tensor | None) -> tuple[Tensor | None, ...]:
        of_y, a = owed
        count, found = len(ctx.kinks), list[Tensor | None]()
        weights, inputs, pulls = (
            ctx.saved_tensors[i:j] for i, j in ((0, count), (count, 2 * count + 1), (2 * count + 1, None))
        )
        column = None if of_y is None else of_y.unsqueeze(1)
        for i, (negative, weight, pull) in enumerate(zip(ctx.kinks, weights, pulls, strict=True)):
            found += [pull.t() @ _sum(column, inputs[i], a), None if of_y is None else of_y @ pull]
            a = None if a is None else _masked(a @ weight.t(), inputs[i + 1], negative)
        found += [_sum(column, inputs[-1], a).sum(0, keepdim=True), None if of_y is None else of_y.sum().unsqueeze(0)]
        return None, None, *found


def _masked(g: Tensor, h: Tensor, negative: float) -> Tensor:
    """D g, by what came out of the layer."""
    if negative:
        return torch.ops.aten.leaky_relu_backward(g, h, negative, True)
    return torch.ops.aten.threshold_backward(g, h, 0)


def _sum(column: Tensor | None, h: Tensor, a: Tensor | None) -> Tensor:
    """c h + a, where either may be owed nothing."""
    if column is None or a is None:
        return column * h if column is not None else a  # type: ignore[return-value]  # one of them is there
    return torch.addcmul(a, column, h)
