"""One optimiser per player: AdamW, gradient clip, warm-up then cosine to zero, and an average of the weights.

lr(k) = lr * min(1, (k + 1) / warm) * (1 + cos(pi k / K)) / 2        (K steps, warm = min(100, K / 20))
ema_k = m ema_{k-1} + (1 - m) theta_k,  m = min(ema, (1 + k) / (10 + k))
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from fairway.core.objective import Optimisation

WARM_UP = 100  # steps, or a twentieth of a shorter run
SCHEDULES = ("cosine", "constant")


class Mover:
    """A player's optimiser with its schedule and clip.

    Args:
        player: the module whose parameters move.
        how: learning rate, betas, decay, clip, schedule.
    """

    def __init__(self, player: nn.Module, how: Optimisation) -> None:
        if how.schedule not in SCHEDULES:
            raise ValueError(f"expected a schedule among {', '.join(SCHEDULES)}, got {how.schedule!r}")
        self.how = how
        self.parameters = [p for p in player.parameters() if p.requires_grad]
        if not self.parameters:
            raise ValueError(f"expected a player with parameters to train, got {type(player).__name__} without any")
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=how.lr, betas=how.betas, weight_decay=how.weight_decay, fused=self._fused()
        )

    def _fused(self) -> bool:
        """One kernel for all parameters, where they are floating point on a device that has it."""
        return all(p.device.type in ("cpu", "cuda") and p.is_floating_point() for p in self.parameters)

    def set_lr(self, step: int, steps: int | None) -> float:
        """Set and return the learning rate of step `step` out of `steps` (None: not known yet, no decay)."""
        warm = WARM_UP if steps is None else max(1, min(WARM_UP, steps // 20))
        lr = self.how.lr * min(1.0, (step + 1) / warm)
        if self.how.schedule == "cosine" and steps is not None:
            lr *= 0.5 * (1 + math.cos(math.pi * min(step / steps, 1.0)))
        for group in self.optimiser.param_groups:
            group["lr"] = lr
        return lr

    def move(self) -> Tensor:
        """Clip the gradients that the parameters hold and step; returns their norm (a device scalar)."""
        norm = self._clipped([p.grad for p in self.parameters if p.grad is not None])
        self.optimiser.step()
        return norm

    def _clipped(self, gradients: list[Tensor]) -> Tensor:
        """Scale gradients down to the largest norm; returns what their norm was.

        `torch.nn.utils` sorts them by device and precision, twice, which takes as long as everything else here; a
        player's are all alike.
        """
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        if self.how.clip is not None:
            torch._foreach_mul_(gradients, (norm + 1e-6).reciprocal_().mul_(self.how.clip).clamp_(max=1.0))
        return norm.full_tensor() if hasattr(norm, "full_tensor") else norm


class Average:
    """Exponential moving average of a module's parameters; buffers are not averaged.

    Args:
        module: whose parameters.
        ema: averaging coefficient; 0 for no average.
    """

    def __init__(self, module: nn.Module, ema: float) -> None:
        self.ema = ema
        self._weights = {name: p.detach() for name, p in module.named_parameters()} if ema else {}
        self.shadow = {name: weight.clone() for name, weight in self._weights.items()}
        self._listed = list(self._weights.values())

    def update(self, step: int) -> None:
        """Move the average towards the weights after step `step`."""
        if self.ema:
            share = 1 - min(self.ema, (1 + step) / (10 + step))
            torch._foreach_lerp_(list(self.shadow.values()), self._listed, share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within, the module carries the averaged weights."""
        kept = {name: weight.clone() for name, weight in self._weights.items()}
        self.settle()
        try:
            yield
        finally:
            self._put(kept)

    def settle(self) -> None:
        """Put the averaged weights into the module for good."""
        self._put(self.shadow)

    @torch.no_grad()
    def _put(self, weights: dict[str, Tensor]) -> None:
        for name, weight in weights.items():
            self._weights[name].copy_(weight)
