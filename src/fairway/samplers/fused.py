"""A short run of chains as one compiled function: what a step of training asks for, thousands of times.

    (u, noise of all steps, step size) -> u after `steps` moves, mean acceptance; log p and its gradient after a test

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
from fairway.samplers.driver import ChainError, Fixed, Run, check_moves, noise_ahead
from fairway.samplers.kernel import Kernel, Noise, State
from fairway.samplers.target import Target

Program = Callable[[Tensor, Noise, Tensor], tuple[Tensor, Tensor, Tensor, Tensor]]


class Fused(Fixed):
    """`Fixed` without a warm-up, compiled into one function for each model that it meets.

    Args:
        steps: moves whose last state is the draw; a graph of a few dozen compiles in seconds, of hundreds in minutes.
    """

    def __init__(self, steps: int = 10) -> None:
        super().__init__(steps, warmup=0)
        self._bound: tuple[Any, Target, Program] | None = None

    def run_model(self, kernel: Kernel, model: Any, u: Tensor, rows: Rows, step: Tensor) -> Run:
        """As `Driver.run`, of a model without context.

        The density where a move ends is asked for by the next move, or by a test; after the last one without a test
        nobody asks, and its value and gradient are empty.

        Raises:
            ChainError: names a chain that has left the numbers.
        """
        if self._bound is None or self._bound[0] is not model:
            target = Target.of(model)
            self._bound = model, target, compiled(self._moves(kernel, target))
        _, target, program = self._bound
        noise = noise_ahead(kernel, target, rows.spawn(1))[0](self.steps)
        step = step.expand(len(u))
        u, value, grad, acceptance = program(u, noise, step)
        bad = ~torch.isfinite(u).flatten(1).all(1)
        if len(value):
            bad |= ~torch.isfinite(value)
        if bool(bad.any()):
            raise ChainError(f"chain {int(bad.nonzero()[0])} is no longer a number after {self.steps} moves")
        state = State(u, value, grad, step)
        check_moves(kernel, state, acceptance, self.steps)
        return Run(state, self.steps + float(len(value) > 0), acceptance)

    def _moves(self, kernel: Kernel, target: Target) -> Program:
        def moves(u: Tensor, noise: Noise, step: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            state = kernel.init(target, u)
            state = State(state.u, state.value, state.grad, step)
            accepted = torch.zeros_like(step)
            for k in range(self.steps):
                state, info = kernel.step(target, state, {name: values[k] for name, values in noise.items()})
                accepted = accepted + info.acceptance
            if kernel.wanted_acceptance is None:  # the compiler leaves out what nobody is given
                return state.u, step[:0], state.u[:0], torch.ones_like(step)
            return state.u, state.value, state.grad, accepted / self.steps

        return moves
