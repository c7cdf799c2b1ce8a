"""How the loss of a phase and its gradients are computed; the loop does not care.

    forward      Step(model, objective)(batch, phase, noise): plain, compiled, under autocast, as the plan says
    gradients    of the player's own parameters, into `.grad`
    whole        within, hooks may be called outside a forward (the parameters are not in pieces)

One process computes here; several use the engines in `parallel`, which share every batch.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from fairway.core.objective import Batch, Loss, Phase, Step
from fairway.core.random import Rows

if TYPE_CHECKING:
    from fairway.training.plan import Plan

Forward = Callable[[Batch, Phase, Rows], Loss]


class Engine:
    """One process.

    Args:
        step: what learns.
        plan: says whether its forward is compiled and how precise it is.
    """

    def __init__(self, step: Step, plan: "Plan") -> None:
        self.step, self.plan = step, plan
        self.forward: Forward = step

    def wrap(self, players: Mapping[str, list[nn.Parameter]]) -> None:
        """See which parameters move as which player, before the first loss."""

    def loss(self, batch: Batch, phase: Phase, rows: Rows) -> Loss:
        """The loss of a phase on this process's share of the batch."""
        return self.forward(batch, phase, rows)

    def gradients(self, loss: Tensor, parameters: list[nn.Parameter]) -> None:
        """d loss / d parameters into their `.grad`, of these parameters alone."""
        put_gradients(loss, parameters)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Within, every parameter is whole on this process."""
        yield

    def full(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Named tensors as one process would hold them."""
        return dict(tensors)

    def pieces(self, tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The inverse of `full`; `like` says how each named tensor is held here."""
        return dict(tensors)

    def settle(self) -> None:
        """Put what was learned into the model that the run was given."""

    @property
    def given(self) -> Any:
        """The model that the run was given."""
        return self.step.model


def put_gradients(loss: Tensor, parameters: list[nn.Parameter]) -> None:
    """d loss / d parameters into their `.grad`; None where the loss does not depend on one."""
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = None if gradient is None else _laid_out_like(gradient, parameter)


def _laid_out_like(gradient: Tensor, parameter: Tensor) -> Tensor:
    """The gradient in the parameter's own memory layout, which fused optimisers take for granted.

    `backward` sees to this; `grad` hands out what the last operation made, a transposed view for instance, and a fused
    step would then move every entry by its neighbour's gradient.
    """
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


def engine_of(step: Step, plan: "Plan") -> Engine:
    """The engine for this run's processes."""
    from fairway.core import parallel

    if not parallel.together():
        return Engine(step, plan)
    from fairway.training.distributed import Replicated, Sharded

    return {"ddp": Replicated, "fsdp": Sharded}[plan.parallel](step, plan)
