"""A step whose loss is compiled: the same numbers up to rounding, sometimes sooner.

    forward = compiled(Step(model, objective))          forward(batch, phase, rows) -> Loss, as the step itself

One graph per phase. Its inputs are the batch and the noise, drawn ahead by `Rows` (see `noise_ahead`), so that no
seed is ever traced; counters are buffers, hence inputs too; what else changes is guarded and compiled anew. The bound
forward is compiled, not the module, so that saved names stay plain, and the players that do not move are frozen, as
their gradients would be thrown away. Dropout draws from torch's own generator, compiled or not.

A graph cannot be differentiated twice, and `autograd` within a loss cannot be traced: slopes come from
`numerics.gradient`. A loss that cannot be compiled (`Objective.traceable`), or a machine that cannot, runs eagerly and
says so once.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from fairway.core.compiler import alone, cannot_compile
from fairway.core.objective import Batch, Loss, Phase, Step
from fairway.core.random import Rows
from fairway.samplers.mcmc import frozen
from fairway.training.log import logger
from fairway.training.noise_ahead import Draws, Played, Untraceable

OPTIONS: dict[str, Any] = {
    "fallback_random": True
}  # dropout by torch's own generator, so that compiled runs drop what eager ones drop

Forward = Callable[[Batch, Phase, Rows], Loss]


def why_eager(step: Step) -> str | None:
    """None where the loss of a step can be compiled here, else why not."""
    if not step.objective.traceable:
        return f"the objective {step.objective.name()} cannot be compiled"
    return cannot_compile()


def compiled(step: Step) -> Forward:
    """The step's forward, compiled at the first call of each phase; or itself, with one warning."""
    reason = why_eager(step)
    if reason:
        logger.warning("%s: training runs eagerly", reason)
        return step
    return _Compiled(step)


class _Compiled:
    """One compiled function per phase, and what to do where that fails."""

    def __init__(self, step: Step) -> None:
        self.step, self.eager = step, False
        self._graphs: dict[Any, _Graph] = {}

    def __call__(self, batch: Batch, phase: Phase, generator: Rows) -> Loss:
        from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException  # slow to import

        if not self.eager:
            try:
                return self._graph(batch, phase, generator)(batch, generator)
            except (TorchDynamoException, FailOnRecompileLimitHit, Untraceable) as error:
                self.eager = True
                reason = str(error).strip().split("\n")[0]
                logger.warning("%s could not be compiled (%s): training runs eagerly", self._name(), reason)
        loss: Loss = self.step(batch, phase, generator)
        return loss

    def _graph(self, batch: Batch, phase: Phase, rows: Rows) -> "_Graph":
        key = phase, rows.n, rows.start, rows.shared_by, rows.dtype, rows.device
        if key not in self._graphs:
            self._graphs[key] = _Graph(self.step, phase, batch, rows)
        return self._graphs[key]

    def _name(self) -> str:
        return f"{self.step.model.name()} under {self.step.objective.name()}"


class _Graph:
    """The loss of one phase as a function of tensors alone."""

    def __init__(self, step: Step, phase: Phase, batch: Batch, rows: Rows) -> None:
        players = dict(step.objective.players(step.model))
        moving = set(players.pop(phase.player, step).parameters())
        self.still = nn.ParameterList(p for player in players.values() for p in player.parameters() if p not in moving)
        self.draws = Draws.of(lambda noise: step.rehearse(batch, phase, noise), rows)

        def forward(batch: Batch, noise: list[Tensor]) -> Loss:
            return step.forward(batch, phase, Played(rows, noise))

        self.forward = _compile(alone(forward))

    def __call__(self, batch: Batch, rows: Rows) -> Loss:
        from torch._functorch import config

        with frozen(self.still), config.patch(force_non_lazy_backward_lowering=True):  # both halves at the first call
            loss: Loss = self.forward(batch, self.draws.ahead(rows))
        return loss


def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function, dynamic=False, fullgraph=True, options=OPTIONS)
