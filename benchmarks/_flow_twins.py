"""Our flows with our weights, put together from the parts of nflows and of zuko: both must find the same log density.

    twin = nflows_twin(model)        twin.log_prob(u) = model._log_prob(u) to rounding

Link by link along our chain. Perceptrons are copied weight by weight; those of a MADE unit by unit, hidden units sorted
by how much they may see, since each library orders them in its own way, and the masks must then agree. What differs is
how raw numbers become a scale or a spline, and is mapped there:

    affine    ours log s = B tanh(a / B)            nflows softplus(a') + 1e-3; zuko a' / (1 + |a' / L|), L = log 1e-3
    spline    ours slopes softplus(a + c) + 1e-3    nflows the same without c; zuko exp(a' / (1 + |a' / L|))
              ours sizes softmax, with a floor      nflows the same; zuko softmax(b' / (1 + |2 b' / L|)) without one
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairway.core.config import lookup
from fairway.core.event import Event
from fairway.models.flow.flow import Flow
from fairway.models.flow.transforms import spline as rational_quadratic
from fairway.models.flow.transforms.coupling import Coupling
from fairway.models.flow.transforms.permutation import Permutation
from fairway.models.flow.transforms.univariate import affine, log_scale

L = math.log(1e-3)


# ---------------------------------------------------------------------------------------------- from raw to their raw
def to_zuko_affine(shift: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
    """zuko's (shift, scale) of the same map."""
    s = log_scale(raw)
    return shift, s / (1 - (s / L).abs())


def to_nflows_softplus(raw: Tensor) -> Tensor:
    """The raw scale of nflows' autoregressive affine map."""
    return torch.log(torch.expm1(log_scale(raw).exp() - 1e-3))


def spline_sizes(raw: Tensor) -> Tensor:
    """(..., K) raw -> shares of the box, with their floor."""
    floor = rational_quadratic.LEAST_SIZE
    return raw.softmax(-1) * (1 - floor * raw.shape[-1]) + floor


def to_zuko_spline(widths: Tensor, heights: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """zuko's (widths, heights, derivatives) of the same spline, from ours (..., K), (..., K), (..., K - 1)."""
    slope = F.softplus(slopes + rational_quadratic.UNIT_SLOPE) + rational_quadratic.LEAST_SLOPE
    return _to_zuko_sizes(widths), _to_zuko_sizes(heights), slope.log() / (1 - (slope.log() / L).abs())


def _to_zuko_sizes(raw: Tensor) -> Tensor:
    log_share = spline_sizes(raw).log()
    centred = log_share - (log_share.amax(-1, keepdim=True) + log_share.amin(-1, keepdim=True)) / 2
    return centred / (1 - (2 * centred / L).abs())


# --------------------------------------------------------------------------------------------------------- weights
@torch.no_grad()
def copy_perceptron(ours: nn.Module, theirs: nn.Module, rows: Tensor | None) -> None:
    """Weight by weight; `rows` reorders the outputs."""
    pairs = list(zip(_linears(ours), _linears(theirs), strict=True))
    for i, (mine, other) in enumerate(pairs):
        weight, bias = mine.weight, mine.bias
        if i == len(pairs) - 1 and rows is not None:
            weight, bias = weight[rows], bias[rows]
        other.weight.copy_(weight)
        other.bias.copy_(bias)


@torch.no_grad()
def copy_made(ours: nn.Module, theirs: nn.Module, columns: Tensor, rows: Tensor) -> None:
    """Unit by unit, hidden units matched by how many they may see; `columns` and `rows` reorder inputs and outputs.

    Raises:
        AssertionError: the masks differ.
    """
    pairs = list(zip(_linears(ours), _linears(theirs), strict=True))
    theirs_in = torch.arange(len(columns))
    for i, (mine, other) in enumerate(pairs):
        last = i == len(pairs) - 1
        ours_out = rows if last else _by_sight(mine.mask)
        theirs_out = torch.arange(len(rows)) if last else _by_sight(other.mask)
        assert torch.equal(_pick(mine.mask, ours_out, columns) != 0, _pick(other.mask, theirs_out, theirs_in) != 0)
        place = theirs_out.unsqueeze(1), theirs_in
        other.weight[place] = _pick(mine.weight, ours_out, columns)
        other.bias[theirs_out] = mine.bias[ours_out]
        columns, theirs_in = ours_out, theirs_out


def _linears(network: nn.Module) -> list[Any]:
    return [module for module in network.modules() if hasattr(module, "weight") and hasattr(module, "in_features")]


def _by_sight(mask: Tensor) -> Tensor:
    """Units from those that see least to those that see most."""
    return torch.argsort((mask != 0).sum(1), stable=True)


def _pick(matrix: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    return matrix[rows][:, columns]


def _shape(network: nn.Module) -> tuple[list[int], type[nn.Module]]:
    """Hidden widths and activation of a network of ours."""
    return [layer.out_features for layer in _linears(network)[:-1]], activation(network)


def activation(network: nn.Module) -> type[nn.Module]:
    """The kind of its first activation."""
    return next(type(m) for m in network.modules() if type(m).__module__ == "torch.nn.modules.activation")


def _entry_major(parameters: int, moved: int) -> Tensor:
    """Rows of a conditioner whose outputs are (parameters, moved), in the order (moved, parameters)."""
    return torch.arange(parameters * moved).reshape(parameters, moved).T.flatten()


# ---------------------------------------------------------------------------------------------------------- nflows
def nflows_twin(model: Flow, bound: float = 5.0) -> Any:
    """The same flow by nflows.

    Args:
        model: a chain of permutations, couplings and masked autoregressive transforms; normal base.
        bound: of its splines.
    """
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow as Theirs
    from nflows.transforms.base import CompositeTransform

    links = [part for link in chain(model) for part in _nflows_link(link, bound)]
    return Theirs(CompositeTransform(links), StandardNormal([model.dims])).eval()


def chain(model: Flow) -> list[Any]:
    """The links of a flow's transform."""
    return list(model.transform.links)  # type: ignore[arg-type, union-attr]


def _nflows_link(link: Any, bound: float) -> list[nn.Module]:
    from nflows.transforms.permutations import Permutation as TheirPermutation

    if isinstance(link, Permutation):
        return [TheirPermutation(link.order)]
    if isinstance(link, Coupling):
        return [_nflows_coupling(link, bound)]
    order = torch.tensor(link.network.order)
    return [TheirPermutation(order), _nflows_made(link, order, bound), TheirPermutation(torch.argsort(order))]


def _nflows_coupling(link: Coupling, bound: float) -> nn.Module:
    from nflows.transforms.coupling import AffineCouplingTransform, PiecewiseRationalQuadraticCouplingTransform

    class Affine(AffineCouplingTransform):  # type: ignore[misc]
        def _scale_and_shift(self, raw: Tensor) -> tuple[Tensor, Tensor]:
            scale, shift = raw.chunk(2, 1)
            return log_scale(scale).exp(), shift

    mask, dtype = _moved(link), _linears(link.conditioner)[0].weight.dtype
    build = lambda inputs, outputs: Perceptron(inputs, outputs, *_shape(link.conditioner))  # noqa: E731
    if link.univariate is affine:
        theirs = Affine(mask, build).to(dtype)
        copy_perceptron(link.conditioner, theirs.transform_net, None)
        return theirs
    bins = (link.univariate.parameters + 1) // 3
    theirs = PiecewiseRationalQuadraticCouplingTransform(mask, build, bins, tails="linear", tail_bound=bound).to(dtype)
    copy_perceptron(link.conditioner, theirs.transform_net, _entry_major(3 * bins - 1, int(mask.sum())))
    _raise_slopes(theirs.transform_net, bins)
    return theirs


def _moved(link: Coupling) -> Tensor:
    """(D,): 1 where an entry moves."""
    kept, moved = _linears(link.conditioner)[0].in_features, link.first
    dims = kept + (link.first if link.swap else 0)
    dims = dims if link.swap else kept + _linears(link.conditioner)[-1].out_features // link.univariate.parameters
    first = torch.arange(dims) < moved
    return (first if link.swap else ~first).long()


class Perceptron(nn.Sequential):
    """A perceptron that takes a context and leaves it aside; nflows divides sizes by the root of `hidden_features`."""

    hidden_features = 1

    def __init__(self, inputs: int, outputs: int, hidden: list[int], act: type[nn.Module]) -> None:
        widths = [inputs, *hidden]
        layers = [part for i in range(len(hidden)) for part in (nn.Linear(widths[i], widths[i + 1]), act())]
        super().__init__(*layers, nn.Linear(widths[-1], outputs))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return super().forward(x)


def _nflows_made(link: Any, order: Tensor, bound: float) -> nn.Module:
    from nflows.transforms.autoregressive import (
        MaskedAffineAutoregressiveTransform,
        MaskedPiecewiseRationalQuadraticAutoregressiveTransform,
    )

    class Affine(MaskedAffineAutoregressiveTransform):  # type: ignore[misc]
        def _unconstrained_scale_and_shift(self, raw: Tensor) -> tuple[Tensor, Tensor]:
            scale, shift = super()._unconstrained_scale_and_shift(raw)
            return to_nflows_softplus(scale), shift

    parameters = link.univariate.parameters
    hidden, act = _shape(link.network)
    made = {"num_blocks": len(hidden) - 1, "use_residual_blocks": False, "activation": act()}
    if link.univariate is affine:
        theirs = Affine(len(order), hidden[0], **made)
    else:
        box = {"num_bins": (parameters + 1) // 3, "tails": "linear", "tail_bound": bound}
        theirs = MaskedPiecewiseRationalQuadraticAutoregressiveTransform(
            features=len(order), hidden_features=hidden[0], **made, **box
        )
    theirs = theirs.to(_linears(link.network)[0].weight.dtype)
    copy_made(link.network, theirs.autoregressive_net, order, _rows(order, parameters))
    if link.univariate is not affine:
        _raise_slopes(theirs.autoregressive_net, (parameters + 1) // 3)
    return theirs


def _rows(order: Tensor, parameters: int) -> Tensor:
    """Output rows (variable, parameter) with the variables in another order."""
    return (order.unsqueeze(1) * parameters + torch.arange(parameters)).flatten()


@torch.no_grad()
def _raise_slopes(network: nn.Module, bins: int) -> None:
    """Our raw slopes count from slope 1."""
    bias = _linears(network)[-1].bias
    bias.view(-1, 3 * bins - 1)[:, 2 * bins :] += rational_quadratic.UNIT_SLOPE


# ------------------------------------------------------------------------------------------------------------ zuko
def zuko_twin(model: Flow, bound: float = 5.0) -> Any:
    """The same flow by zuko, as a distribution; see `nflows_twin`."""
    from zuko.distributions import DiagNormal, NormalizingFlow
    from zuko.transforms import ComposedTransform

    with torch.no_grad():
        links = [_zuko_link(link, bound) for link in chain(model)]
    zero = torch.zeros(model.dims, dtype=model.dtype)
    return NormalizingFlow(ComposedTransform(*links), DiagNormal(zero, zero + 1))


def _zuko_link(link: Any, bound: float) -> Any:
    from zuko.flows.autoregressive import MaskedAutoregressiveTransform
    from zuko.flows.coupling import GeneralCouplingTransform
    from zuko.transforms import PermutationTransform

    if isinstance(link, Permutation):
        return PermutationTransform(link.order)
    network = link.conditioner if isinstance(link, Coupling) else link.network
    hidden, act = _shape(network)
    common = {"hidden_features": hidden, "activation": act, **_zuko_univariate(link.univariate, bound)}
    dtype = _linears(network)[0].weight.dtype
    if isinstance(link, Coupling):
        moved = _moved(link)
        theirs = GeneralCouplingTransform(len(moved), 0, moved == 0, **common).to(dtype)
        copy_perceptron(network, theirs.hyper, _entry_major(link.univariate.parameters, int(moved.sum())))
    else:
        order = torch.arange(len(network.order))
        theirs = MaskedAutoregressiveTransform(len(order), 0, order=network.rank, **common).to(dtype)
        copy_made(network, theirs.hyper, order, _rows(order, link.univariate.parameters))
    return theirs()


def _zuko_univariate(univariate: Any, bound: float) -> dict[str, Any]:
    from zuko.transforms import MonotonicAffineTransform, MonotonicRQSTransform

    if univariate is affine:
        mapped: Callable[..., Any] = lambda raw, shift: MonotonicAffineTransform(*to_zuko_affine(shift, raw))  # noqa: E731
        return {"univariate": mapped, "shapes": ((), ())}
    bins = (univariate.parameters + 1) // 3
    spline = partial(MonotonicRQSTransform, bound=bound)
    return {"univariate": lambda *raw: spline(*to_zuko_spline(*raw)), "shapes": [(bins,), (bins,), (bins - 1,)]}


# ------------------------------------------------------------------------------------------------------- agreement
TWINS: dict[str, Callable[..., Any]] = {"nflows": nflows_twin, "zuko": zuko_twin}


def redrawn(name: str, dims: int, **options: Any) -> Flow:
    """A small flow in float64 with its parameters drawn from N(0, 0.3^2)."""
    model: Flow = lookup("model", name)(Event((dims,)), transforms=3, hidden=(4 * (dims - 1),) * 2, **options)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.double().eval().parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


@torch.no_grad()
def disagreement(model: Flow, library: str) -> float:
    """The largest difference of log densities, relative where they are above 1, also far out."""
    u = 3 * torch.randn(512, model.dims, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mine, other = model._log_prob(u), TWINS[library](model).log_prob(u)
    return float(((mine - other).abs() / mine.abs().clamp(min=1.0)).max())
