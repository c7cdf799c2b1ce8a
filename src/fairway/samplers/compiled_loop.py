"""A denoising sampler whose whole loop is one graph: for small networks that are drawn from again and again.

    u -> rule(... rule(rule(u, t_1 -> t_2), t_2 -> t_3) ...)          levels are constants, noise is drawn ahead

A step of a small network takes a few dozen operations on small tensors, and launching them takes the time.
`torch.compile` unrolls the loop and fuses what lies between the products of matrices; draws differ from eager ones by
rounding alone. Compiling takes seconds a step, once for each number of rows: it pays from some thousand draws of that
many on. Rules that look at what they see, and machines without a compiler, run eagerly and say so once.
"""

import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from fairway.core.capability import Capability, HasDenoiser
from fairway.core.compiler import alone, cannot_compile
from fairway.core.random import Rows
from fairway.core.sampler import Draws, Sampler, as_sampler
from fairway.samplers.noise_grid import DenoisingSampler, noise_levels

Walk = Callable[[Tensor, Tensor | None, list[Tensor]], tuple[Tensor, int]]


class CompiledLoop(Sampler):
    """The same sampler, compiled as a whole.

    Args:
        sampler: a denoising sampler or its registered name.

    Raises:
        ValueError: another kind of sampler.
    """

    requires: ClassVar[tuple[type[Capability], ...]] = (HasDenoiser,)

    def __init__(self, sampler: Any = "dpm_solver") -> None:
        inner = as_sampler(sampler)
        if not isinstance(inner, DenoisingSampler):
            raise ValueError(f"expected a denoising sampler (ddim, heun, dpm_solver ...), got {inner.name()}")
        self.sampler = inner
        self._loops: dict[Any, _Loop] = {}

    def run(
        self,
        model: Any,
        n: int,
        *,
        context: Tensor | None,
        generator: Rows,
        init: Tensor | None = None,
        trace: bool = False,
    ) -> Draws:
        if trace:  # what is kept on the way cannot be fused
            return self.sampler.run(model, n, context=context, generator=generator, init=init, trace=True)
        u, fresh = model._prior(generator) if init is None else init, generator.spawn(1)
        key = id(model), u.shape, u.dtype, u.device, None if context is None else context.shape
        if key not in self._loops:
            self._loops[key] = _Loop(self.sampler, model, u, context)
        u, asked = self._loops[key](u, context, lambda: fresh.normal(*u.shape[1:]))
        return Draws(u, float(asked))


class _Loop:
    """The walk of one model's rows, as a function of tensors alone."""

    def __init__(self, sampler: DenoisingSampler, model: Any, u: Tensor, context: Tensor | None) -> None:
        levels, one = (
            noise_levels(model.schedule, sampler.steps, sampler.grid),
            None if context is None else context[:1],
        )
        self.model, self.noises = model, 0  # the model is held, so that its id stays its own

        def counted() -> Tensor:
            self.noises += 1
            return torch.zeros_like(u[:1])

        sampler.walk(model, u[:1], one, levels, counted)

        def walk(u: Tensor, context: Tensor | None, noise: list[Tensor]) -> tuple[Tensor, int]:
            return sampler.walk(model, u, context, levels, iter(noise).__next__)

        self.eager: Walk = walk
        self.walk = self._compiled(walk)

    def __call__(self, u: Tensor, context: Tensor | None, noise: Callable[[], Tensor]) -> tuple[Tensor, int]:
        from torch._dynamo.exc import TorchDynamoException  # slow to import

        ahead = [noise() for _ in range(self.noises)]
        try:
            return self.walk(u, context, ahead)
        except TorchDynamoException as error:
            warnings.warn(f"{str(error).strip().splitlines()[0]}: the loop runs eagerly", stacklevel=2)
            self.walk = self.eager
            return self.walk(u, context, ahead)

    @staticmethod
    def _compiled(walk: Walk) -> Walk:
        reason = cannot_compile()
        if reason:
            warnings.warn(f"{reason}: the loop runs eagerly", stacklevel=2)
            return walk
        return torch.compile(alone(walk), dynamic=False, fullgraph=True)
