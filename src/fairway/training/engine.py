"""How the loss of a phase and its gradients are computed; the loop does not care.

    forward      Step(model, objective)(batch, phase, noise): plain, compiled, under autocast, as the plan says
    gradients    of the player's own parameters, into `.grad`
    whole        within, hooks may be called outside a forward (the parameters are not in pieces)

One process computes here; several use the engines in `parallel`, which share every batch.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from fairway.core import parallel as processes
from fairway.core.objective import Batch, Loss, Phase, Step
from fairway.core.random import Rows
from fairway.training.compilation import compiled
from fairway.training.precision import Forward, chosen, lay_out, mixed


class Engine:
    """One process.

    Args:
        step: what learns.
    """

    def __init__(self, step: Step) -> None:
        self.step = step
        self.forward: Forward = step
        self._hooks: list[RemovableHandle] = []

    def use(self, compile: bool, precision: str) -> None:
        """Compute losses so from here on; what was compiled is compiled anew.

        Args:
            compile: whether the forward is. precision: "float32" or "bfloat16", of products in plain networks.
        """
        self._unhook()
        forward: Forward = compiled(self.step) if compile else self.step
        self.forward, self._hooks = mixed(self.step, forward, chosen(precision, self.step, self.step.model.device))

    def _unhook(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

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

    def end(self) -> None:
        """Put what was learned into the model that the run was given, and leave its networks as they were."""
        self._unhook()

    @property
    def given(self) -> Any:
        """The model that the run was given."""
        return self.step.model


def put_gradients(loss: Tensor, parameters: list[nn.Parameter]) -> None:
    """d loss / d parameters into their `.grad`; None where the loss does not depend on one."""
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = None if gradient is None else laid_out_like(gradient, parameter)


def laid_out_like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """A gradient or a moment in the parameter's own memory layout, which fused optimisers take for granted.

    `backward` sees to this; `grad` hands out what the last operation made, a transposed view for instance, and a fused
    step would then move every entry by its neighbour's gradient.
    """
    if tensor.stride() == parameter.stride():
        return tensor
    return torch.empty_like(parameter).copy_(tensor)


def engine_of(step: Step, parallel: str) -> Engine:
    """The engine for this run's processes, which share it as `parallel` ("ddp", "fsdp") says."""
    lay_out(step)  # before optimisers and wrappers look at the parameters
    if not processes.together():
        return Engine(step)
    from fairway.training.distributed import Replicated, Sharded

    return {"ddp": Replicated, "fsdp": Sharded}[parallel](step)
