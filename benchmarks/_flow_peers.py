"""Peers for benchmarks/flows.py: the same flows by zuko, nflows and normflows.

Every peer gets the same number of transforms, hidden widths, activation, spline bins and box, and conditioners that are
plain perceptrons (masked ones where autoregressive), built from the parts that each library offers for it:

    coupling         zuko: GeneralCouplingTransform; nflows, normflows: their coupling layers around one perceptron
    autoregressive   zuko: MaskedAutoregressiveTransform; nflows, normflows: MADE with feed-forward blocks (normflows'
                     MADE leaves out its first activation: the same parameters, a little less work)
    iaf              each library's own inverse of its masked affine transform

zuko's NSF with `passes=2` is a coupling too, but computes spline parameters for both halves, twice the work: the
coupling of parts is the faster peer and has the same number of parameters as the others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

SYSTEMS = ("real_nvp", "maf", "iaf", "nsf_coupling", "nsf_autoregressive")


@dataclass(frozen=True)
class Architecture:
    """A flow to build by every library.

    Args:
        system: one of SYSTEMS.
        dims: D.
        act: name of the activation in torch.nn.functional.
        transforms, hidden: as in Fairway; two equal hidden widths, which is what MADE offers.
        bins, bound: of the spline, on [-bound, bound].
    """

    system: str
    dims: int
    act: str = "relu"
    transforms: int = 5
    hidden: tuple[int, int] = (128, 128)
    bins: int = 8
    bound: float = 5.0

    @property
    def coupling(self) -> bool:
        return self.system in ("real_nvp", "nsf_coupling")

    @property
    def spline(self) -> bool:
        return self.system.startswith("nsf")

    @property
    def parameters(self) -> int:
        """Numbers per moved entry."""
        return 3 * self.bins - 1 if self.spline else 2

    @property
    def activation(self) -> Callable[[Tensor], Tensor]:
        act: Callable[[Tensor], Tensor] = getattr(F, self.act)
        return act

    @property
    def activation_module(self) -> type[nn.Module]:
        kinds: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "silu": nn.SiLU}
        return kinds[self.act]


@dataclass
class Side:
    """One library's flow as functions of tensors.

    Args:
        module: holds the parameters.
        log_prob: (B, D) -> (B,).
        sample: n -> (n, D).
        sample_and_log_prob: n -> (n, D), (n,).
    """

    module: nn.Module
    log_prob: Callable[[Tensor], Tensor]
    sample: Callable[[int], Tensor]
    sample_and_log_prob: Callable[[int], tuple[Tensor, Tensor]]

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.module.parameters() if p.requires_grad)


class Perceptron(nn.Sequential):
    """A plain perceptron for the coupling layers of nflows and normflows, which hand over a context, too."""

    def __init__(self, inputs: int, outputs: int, architecture: Architecture) -> None:
        act, (first, second) = architecture.activation_module, architecture.hidden
        super().__init__(nn.Linear(inputs, first), act(), nn.Linear(first, second), act(), nn.Linear(second, outputs))
        self.hidden_features = second  # by which both libraries scale widths and heights; without it they warn

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        return super().forward(x)


# ------------------------------------------------------------------------------------------------------------- zuko
def zuko(architecture: Architecture) -> Side:
    """By zuko."""
    import zuko.flows
    from zuko.transforms import MonotonicRQSTransform

    dims, bins = architecture.dims, architecture.bins
    common: dict[str, Any] = {"hidden_features": architecture.hidden, "activation": architecture.activation_module}
    if architecture.spline:
        common |= {
            "univariate": partial(MonotonicRQSTransform, bound=architecture.bound),
            "shapes": [(bins,), (bins,), (bins - 1,)],
        }
    kind = zuko.flows.NICE if architecture.coupling else zuko.flows.MAF
    flow = kind(dims, transforms=architecture.transforms, **common)
    if architecture.system == "iaf":
        flow = zuko.flows.Flow([link.inv for link in reversed(flow.transform.transforms)], flow.base)
    return Side(
        flow,
        lambda u: flow().log_prob(u),
        lambda n: flow().rsample((n,)),
        lambda n: flow().rsample_and_log_prob((n,)),
    )


# ----------------------------------------------------------------------------------------------------------- nflows
def nflows(architecture: Architecture) -> Side:
    """By nflows."""
    from nflows.distributions.normal import StandardNormal
    from nflows.flows.base import Flow
    from nflows.transforms.base import CompositeTransform, InverseTransform
    from nflows.transforms.permutations import ReversePermutation

    links: list[nn.Module] = []
    for i in range(architecture.transforms):
        if architecture.coupling:
            links.append(_nflows_coupling(architecture, i))
        else:
            links += [ReversePermutation(architecture.dims)] if i else []
            link = _nflows_autoregressive(architecture)
            links.append(InverseTransform(link) if architecture.system == "iaf" else link)
    flow = Flow(CompositeTransform(links), StandardNormal([architecture.dims]))
    return Side(flow, flow.log_prob, flow.sample, flow.sample_and_log_prob)


def _nflows_coupling(architecture: Architecture, i: int) -> nn.Module:
    from nflows.transforms.coupling import AffineCouplingTransform, PiecewiseRationalQuadraticCouplingTransform
    from nflows.utils.torchutils import create_alternating_binary_mask

    mask = create_alternating_binary_mask(architecture.dims, even=i % 2 == 0)
    network = lambda inputs, outputs: Perceptron(inputs, outputs, architecture)  # noqa: E731
    if not architecture.spline:
        return AffineCouplingTransform(mask, network)
    return PiecewiseRationalQuadraticCouplingTransform(mask, network, **_nflows_box(architecture))


def _nflows_autoregressive(architecture: Architecture) -> nn.Module:
    from nflows.transforms.autoregressive import (
        MaskedAffineAutoregressiveTransform,
        MaskedPiecewiseRationalQuadraticAutoregressiveTransform,
    )

    if not architecture.spline:
        return MaskedAffineAutoregressiveTransform(**_made(architecture))
    return MaskedPiecewiseRationalQuadraticAutoregressiveTransform(**_made(architecture), **_nflows_box(architecture))


def _nflows_box(architecture: Architecture) -> dict[str, Any]:
    return {"num_bins": architecture.bins, "tails": "linear", "tail_bound": architecture.bound}


def _made(architecture: Architecture) -> dict[str, Any]:
    """Two hidden layers: MADE's first one and one feed-forward block."""
    return {
        "features": architecture.dims,
        "hidden_features": architecture.hidden[0],
        "num_blocks": 1,
        "use_residual_blocks": False,
        "activation": architecture.activation,
    }


# -------------------------------------------------------------------------------------------------------- normflows
def normflows(architecture: Architecture) -> Side:
    """By normflows, whose chains run from the latent to the data."""
    import normflows as nf

    links: list[nn.Module] = []
    for i in range(architecture.transforms):
        if architecture.system == "real_nvp":
            links.append(_normflows_affine(architecture))
            links.append(nf.flows.Permute(architecture.dims, "swap"))
            continue
        link = _normflows_spline(architecture, i) if architecture.spline else _normflows_maf(architecture)
        links.append(link if architecture.system == "iaf" else nf.flows.Reverse(link))
        if not architecture.coupling:
            links.append(nf.flows.Permute(architecture.dims, "swap"))
    flow = nf.NormalizingFlow(nf.distributions.DiagGaussian(architecture.dims, trainable=False), links)
    return Side(flow, flow.log_prob, lambda n: flow.sample(n)[0], flow.sample)


def _normflows_affine(architecture: Architecture) -> nn.Module:
    import normflows as nf

    moved = architecture.dims // 2
    network = Perceptron(architecture.dims - moved, 2 * moved, architecture)
    return nf.flows.AffineCouplingBlock(network)


def _normflows_maf(architecture: Architecture) -> nn.Module:
    import normflows as nf

    return nf.flows.MaskedAffineAutoregressive(**_made(architecture))


def _normflows_spline(architecture: Architecture, i: int) -> nn.Module:
    from normflows.flows.neural_spline.autoregressive import MaskedPiecewiseRationalQuadraticAutoregressive
    from normflows.flows.neural_spline.coupling import PiecewiseRationalQuadraticCoupling
    from normflows.utils.masks import create_alternating_binary_mask

    if not architecture.coupling:
        return MaskedPiecewiseRationalQuadraticAutoregressive(**_made(architecture), **_nflows_box(architecture))
    return PiecewiseRationalQuadraticCoupling(
        create_alternating_binary_mask(architecture.dims, even=i % 2 == 0),
        lambda inputs, outputs: Perceptron(inputs, outputs, architecture),
        **_nflows_box(architecture),
    )


PEERS: dict[str, Callable[[Architecture], Side]] = {"zuko": zuko, "nflows": nflows, "normflows": normflows}
