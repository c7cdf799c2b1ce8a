"""Solving with the transposed Jacobian of an autoregressive map, one variable at a time, at the cost of one pass.

    z_i = T(u_i; phi_i),  phi_i = f_i(x_j of lower rank),  x = x(u)        J_ij = dz_i / du_j, triangular by rank
    J' v = g:   v_i = [g_i - sum over higher ranks s of v_s (dz_s/dphi_s)(dphi_s/dx_i) dx_i/du_i] / (dz_i/du_i)

From the last rank to the first, all that the sum needs is known: the adjoints of the units of degree i and above. They
are filled in slice by slice as `MaskedMLP.step` fills in the units, backwards, and every weight is used once. Shapes
have the batch last: g, v, slopes (D, B); phi slopes (P, D, B).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from fairway.networks.masked import MaskedLinear, MaskedMLP


@dataclass
class _Adjoint:
    """What is known so far: adjoints of outputs by rank (D, P, B), of each hidden layer before and after its act."""

    outputs: Tensor
    units: list[Tensor]
    inner: list[Tensor]
    bends: list[Tensor]
    weights: list[Tensor]
    direct: Tensor | None


@torch.no_grad()
def solve_transposed(
    network: MaskedMLP, x: Tensor, context: Tensor | None, g: Tensor, slopes: tuple[Tensor, Tensor, Tensor]
) -> Tensor:
    """v with J' v = g, (D, B).

    Args:
        network: of one feature per variable, in eval mode or without dropout.
        x: (D, B) its inputs. context: (B, C) or None.
        g: (D, B) right-hand side.
        slopes: dz_i/du_i (D, B), not zero; dz_i/dphi_i (P, D, B); dx_i/du_i (D, B).

    Raises:
        ValueError: a network of several features per variable.
    """
    if network.features != 1:
        raise ValueError(f"expected a network of one feature per variable, got {network.features}")
    (slope, phi_slope, x_slope), adjoint, v = slopes, _start(network, x, context), torch.empty_like(g)
    for rank in range(network.variables - 1, -1, -1):
        i = network.order[rank]
        v[i] = (g[i] - x_slope[i] * _reaches(network, adjoint, rank)) / slope[i]
        adjoint.outputs[rank] = v[i] * phi_slope[:, i]
        if rank:
            _fill(network, adjoint, rank)
    return v


def _start(network: MaskedMLP, x: Tensor, context: Tensor | None) -> _Adjoint:
    """Weights with rows and columns by rank, and the derivative of every unit's activation."""
    layers: list[MaskedLinear] = list(network.layers)  # type: ignore[arg-type]
    weights, direct = network.by_rank()
    bends, h = [], x
    for layer in layers[:-1]:
        out, bend = _bend(network.act, layer.columns(h, context))
        h = h + out if network._adds(len(h), len(out), h is x) else out
        bends.append(bend)
    empty = [torch.zeros_like(bend) for bend in bends]
    outputs = x.new_zeros(network.variables, network.outputs, x.shape[1])
    return _Adjoint(outputs, empty, [torch.zeros_like(bend) for bend in bends], bends, weights, direct and direct[0])


def _bend(act: torch.nn.Module, raw: Tensor) -> tuple[Tensor, Tensor]:
    """act(raw) and its derivative."""
    with torch.enable_grad():
        point = raw.detach().requires_grad_()
        out = act(point.clone())  # some act in place
        (bend,) = torch.autograd.grad(out.sum(), point)
    return out.detach(), bend


def _fill(network: MaskedMLP, a: _Adjoint, rank: int) -> None:
    """Adjoints of the units of degree rank - 1, from the last hidden layer to the first."""
    for i in range(len(a.units) - 1, -1, -1):
        start, end = network._starts[i][rank : rank + 2]  # units of degree rank - 1
        if i == len(a.units) - 1:
            above = a.outputs[rank:].flatten(0, 1)
            total = a.weights[-1][rank * network.outputs :, start:end].T @ above
        else:
            first = network._starts[i + 1][rank]
            total = a.weights[i + 1][first:, start:end].T @ a.inner[i + 1][first:]
            if network._adds(len(a.units[i]), len(a.units[i + 1]), False):
                total = total + a.units[i + 1][start:end]
        a.units[i][start:end] = total
        a.inner[i][start:end] = total * a.bends[i][start:end]


def _reaches(network: MaskedMLP, a: _Adjoint, rank: int) -> Tensor:
    """(B,): what the variable of this rank does to all outputs of higher rank, through their adjoints."""
    total = torch.zeros_like(a.outputs[0, 0])
    if a.units:
        first = network._starts[0][rank + 1]  # units of degree rank and above
        total = a.weights[0][first:, rank] @ a.inner[0][first:]
    if a.direct is not None:
        later = slice((rank + 1) * network.outputs, None)
        total = total + a.direct[later, rank] @ a.outputs[rank + 1 :].flatten(0, 1)
    return total
