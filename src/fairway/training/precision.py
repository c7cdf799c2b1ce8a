"""Half the bits where products of matrices take the time, all of them where numbers are summed.

    forward in bfloat16 (8 bits of mantissa)     products within plain networks: convolutions, attention, linear layers
    in float32                                   weights, moments, what leaves a network, log-determinants, losses

A plain network is a module that is called (it has a `forward`); models, objectives and transforms have methods by name
instead and are looked into. By default only convolutions and transformers are trained so, and only where the hardware
multiplies bfloat16: AVX512-BF16 or AMX, or a GPU; elsewhere it is emulated, several times slower. float64 stays whole.
bfloat16 has the range of float32, so losses need no scaling.

`lay_out` puts the channels of image convolutions last in memory, which their fast kernels want; names and values of
the weights stay as they are.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from fairway.core.low_precision import autocast, fast_bfloat16, gains
from fairway.core.objective import Batch, Loss, Phase, Step
from fairway.core.random import Rows

PRECISIONS = ("auto", "float32", "bfloat16")
Forward = Callable[[Batch, Phase, Rows], Loss]


def chosen(precision: str, step: nn.Module, device: torch.device | str) -> torch.dtype | None:
    """What products are computed in: `torch.bfloat16`, or None for the weights' own precision.

    Args:
        precision: "auto", "float32" or "bfloat16".
        step: what learns.
        device: where.

    Raises:
        ValueError: another name, or bfloat16 for a model in float64.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"expected precision among {', '.join(PRECISIONS)}, got {precision!r}")
    double = any(p.dtype == torch.float64 for p in step.parameters())
    if precision == "bfloat16" and double:
        raise ValueError("expected a float32 model for precision='bfloat16', got one in float64: drop one of the two")
    wanted = gains(step) and fast_bfloat16(device) and not double if precision == "auto" else precision == "bfloat16"
    return torch.bfloat16 if wanted else None


def mixed(step: Step, forward: Forward, dtype: torch.dtype | None) -> tuple[Forward, list[RemovableHandle]]:
    """A forward whose networks compute in this precision, and the hooks to remove when it is no longer used.

    Args:
        step: what learns.
        forward: its own forward, or its compiled one.
        dtype: from `chosen`; None for the same forward.
    """
    if dtype is None:
        return forward, []
    handles = [network.register_forward_hook(_to_float32) for network in networks(step)]
    device = torch.device(step.model.device)

    def loss(batch: Batch, phase: Phase, generator: Rows) -> Loss:
        with autocast(device, dtype):
            return forward(batch, phase, generator)

    return loss, handles


def networks(module: nn.Module) -> Iterator[nn.Module]:
    """The outermost plain networks of models and objectives: those that are called."""
    parts = [module.model, module.objective] if isinstance(module, Step) else module.children()
    for part in parts:
        if type(part).forward is nn.Module.forward:
            yield from networks(part)
        else:
            yield part


def _to_float32(network: nn.Module, inputs: Any, output: Any) -> Any:
    """What leaves a network, at full precision."""
    if isinstance(output, Tensor):
        return output.float() if output.dtype == torch.bfloat16 else output
    if isinstance(output, tuple | list):
        return type(output)(_to_float32(network, inputs, part) for part in output)
    return output


def lay_out(step: Step) -> int:
    """Put channels last in the networks that convolve images; returns how many there are.

    An optimiser that is loaded afterwards must hold its moments in the same layout (`torch.empty_like(parameter)`).
    """
    if not step.model.model_event.image:
        return 0
    found = [n for n in networks(step) if any(isinstance(m, nn.Conv2d) for m in n.modules())]
    for network in found:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return len(found)
