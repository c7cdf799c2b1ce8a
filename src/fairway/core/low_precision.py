"""Products in bfloat16 (8 bits of mantissa, the range of float32) for convolutions and attention where hardware has it.

    gains      a network has convolutions or attention, which take the time
    fast       the hardware multiplies bfloat16: AVX512-BF16 or AMX, or a GPU; elsewhere it is emulated, slower
    autocast   within, products are in bfloat16; weights, sums and what is done outside of networks stay as they are

Training may use it for any model (`training.precision`), and drawing for models that say so by `draws_roughly`: a
denoiser's answer is walked towards in many small steps, where a flow's inverse must be exact.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

GAINS = (nn.modules.conv._ConvNd, nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
FAST = ("avx512_bf16", "amx_bf16")  # of a processor


def gains(module: nn.Module) -> bool:
    """Whether there are convolutions or attention; a layer of one's own is one where it says `gains = True`.

    >>> gains(nn.Linear(2, 2)), gains(nn.Conv2d(1, 1, 3))
    (False, True)
    """
    return any(isinstance(part, GAINS) or getattr(part, "gains", False) is True for part in module.modules())


def fast_bfloat16(device: torch.device | str) -> bool:
    """Whether a device multiplies bfloat16 itself."""
    if torch.device(device).type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(capabilities.get(name, False) for name in FAST)


def autocast(device: torch.device | str, dtype: torch.dtype | None) -> AbstractContextManager[Any]:
    """Within, products are computed in this precision; None for no change."""
    if dtype is None:
        return nullcontext()
    return torch.autocast(torch.device(device).type, dtype=dtype)


def drawing(model: Any) -> AbstractContextManager[Any]:
    """How a model's networks multiply while it draws: its own choice where the user is under no autocast.

    Args:
        model: a `Model`; bfloat16 if it `draws_roughly`, is in float32, gains by it and lies on hardware that has it.
    """
    device = model.device.type
    rough = model.draws_roughly and model.dtype == torch.float32 and not torch.is_autocast_enabled(device)
    return autocast(device, torch.bfloat16 if rough and gains(model) and fast_bfloat16(device) else None)
