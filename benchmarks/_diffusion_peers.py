"""Denoisers by other hands: diffusers, lucidrains' denoising-diffusion-pytorch, torchcfm and Meta's flow_matching.

Each as its own examples use it, in float32. torchvision, which two of them import, only loads beside the build of torch
that it was made for; none of its operators is needed here, so those it would complain of are declared.
"""

import contextlib
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

for name in ("nms", "qnms"):
    with contextlib.suppress(RuntimeError):  # declared by a torchvision that fits
        torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from denoising_diffusion_pytorch import GaussianDiffusion, Unet
    from diffusers import DDIMScheduler, DDPMScheduler, FlowMatchEulerDiscreteScheduler, UNet2DModel
    from flow_matching.solver import ODESolver
    from torchcfm.optimal_transport import OTPlanSampler

__all__ = (
    "DDIMScheduler", "DDPMScheduler", "FlowMatchEulerDiscreteScheduler", "GaussianDiffusion",
    "ODESolver", "OTPlanSampler", "Unet",
)  # fmt: skip

SIDE, BASE, STEPS = 32, 64, 1000


def diffusers_network() -> nn.Module:
    """Their U-Net with base 64 and three sizes, else by default."""
    down, up = ("DownBlock2D",) * 3, ("UpBlock2D",) * 3
    return UNet2DModel(
        sample_size=SIDE, in_channels=1, out_channels=1, block_out_channels=(BASE, 2 * BASE, 2 * BASE),
        down_block_types=down, up_block_types=up,
    )  # fmt: skip


def lucidrains_network() -> nn.Module:
    """Their U-Net with base 64 and three sizes, else by default."""
    return Unet(dim=BASE, dim_mults=(1, 2, 2), channels=1)


def stepper(network: nn.Module, loss: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """zero_grad, loss, backward, clip, AdamW, as in diffusers' training example."""
    parameters = list(network.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=1e-4)

    def step(x: Tensor) -> Tensor:
        found = loss(x)
        found.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        return found.detach()

    return step


def diffusers_step(network: Any) -> Callable[[Tensor], Tensor]:
    """One step of training on images (B, 1, 32, 32)."""
    scheduler = DDPMScheduler(num_train_timesteps=STEPS)

    def loss(x: Tensor) -> Tensor:
        noise, t = torch.randn_like(x), torch.randint(0, STEPS, (len(x),))
        noisy = scheduler.add_noise(x, noise, t)
        return F.mse_loss(network(noisy, t, return_dict=False)[0], noise)

    return stepper(network, loss)


def lucidrains_step(network: Any) -> Callable[[Tensor], Tensor]:
    """One step of training on images (B, 1, 32, 32) in [0, 1]."""
    diffusion = GaussianDiffusion(
        network, image_size=SIDE, timesteps=STEPS, objective="pred_noise", beta_schedule="linear"
    )
    return stepper(diffusion, lambda x: diffusion(x))


def diffusers_ddim(network: Callable[[Tensor, Tensor], Tensor], u: Tensor, steps: int) -> Tensor:
    """Their loop from pure noise u; the network says the noise at a whole step."""
    scheduler = DDIMScheduler(num_train_timesteps=STEPS, clip_sample=False, timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    with torch.no_grad():
        for t in scheduler.timesteps:
            u = scheduler.step(network(u, t), t, u).prev_sample
    return u
