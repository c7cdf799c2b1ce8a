"""A short run of chains as one compiled function: what a step of training asks for, thousands of times.

    (u, noise of all steps, step size) -> u after `steps` moves, log p there and its gradient, mean acceptance

A handful of moves of a small network is spent on launching operations, move by move. Here the start and all moves are
one graph, compiled at the first call (seconds) and run as they are after that, with the weights of the moment. Only for
kernels whose operations do not depend on the noise (`static`), and for a model whose chains all have the same target: a
context for each chain falls back to the eager run. Noise and draws are those of `Fixed`, up to rounding.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fairway.core.random import Rows
from fairway.samplers.compiled import compiled
from fairway.samplers.driver import ChainError, Fixed, Run, check_moves, noises
from fairway.samplers.kernel import Kernel, State
from fairway.samplers.target import Target

Program = Callable[[Tensor, list[dict[str, Tensor]], Tensor], tuple[State, Tensor]]


class Fused(Fixed):
    """`Fixed` without a warm-up, compiled into one function for each model that it meets.

    Args:
        steps: moves whose last state is the draw; a graph of a few dozen compiles in seconds, of hundreds in minutes.
    """

    def __init__(self, steps: int = 10) -> None:
        super().__init__(steps, warmup=0)
        self._bound: tuple[Any, Program] | None = None

    def run_model(self, kernel: Kernel, model: Any, u: Tensor, rows: Rows, step: Tensor) -> Run:
        """As `Driver.run`, of a model without context.

        Raises:
            ChainError: names a chain that has left the numbers.
        """
        if self._bound is None or self._bound[0] is not model:
            self._bound = model, self._program(kernel, Target.of(model))
        noise = list(noises(kernel, model.model_event, rows.spawn(1), self.steps))
        state, acceptance = self._bound[1](u, noise, step.expand(len(u)))
        if not bool(torch.isfinite(state.value).all()):
            chain = int((~torch.isfinite(state.value)).nonzero()[0])
            raise ChainError(
                f"the log density of chain {chain} is {float(state.value[chain])} after {self.steps} moves"
            )
        check_moves(kernel, state, acceptance, self.steps)
        return Run(state, float(1 + self.steps), acceptance)

    def _program(self, kernel: Kernel, target: Target) -> Program:
        def moves(u: Tensor, noise: list[dict[str, Tensor]], step: Tensor) -> tuple[Any, Tensor]:
            state = kernel.init(target, u)
            state = type(state)(state.u, state.value, state.grad, step)
            accepted = torch.zeros_like(step)
            for drawn in noise:
                state, info = kernel.step(target, state, drawn)
                accepted = accepted + info.acceptance
            return (state.u, state.value, state.grad, state.step), accepted / len(noise)

        program = compiled(moves)

        def run(u: Tensor, noise: list[dict[str, Tensor]], step: Tensor) -> tuple[State, Tensor]:
            found, acceptance = program(u, noise, step)
            return State(*found), acceptance

        return run
