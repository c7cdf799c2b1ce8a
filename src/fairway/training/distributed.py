"""One run on several processes, started by `torchrun`: each takes a share of every batch, together they take one step.

    process r of W    rows r B, ..., (r + 1) B - 1 of a batch of W B rows; its noise is that of those rows
    gradients         averaged over processes, so that the step is the one of the whole batch

What is wrapped is `Step`, whose forward is the loss: a hook called outside a forward would miss the wrapper. "ddp"
keeps a copy of everything on each process and averages the gradients of the player that moves (one wrapper per player:
a wrapper around both of two players would wait for gradients that never come). "fsdp" (`fully_shard`) keeps a W-th of
every parameter, gradient, moment and average on each, and gathers the weights for a forward.

Process 0 alone writes and prints. A process that dies takes the others with it: its neighbours see the connection
close, or give up after a minute.
"""

import atexit
import copy
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from fairway.core import parallel
from fairway.core.objective import Batch, Loss, Phase, Step
from fairway.core.random import Rows
from fairway.training import checkpoint
from fairway.training.engine import Engine

PATIENCE = timedelta(seconds=60)  # a process that is silent for so long is taken for dead
KINDS = ("ddp", "fsdp")
SILENCE = ("gloo", "NCCL", "Connection", "Timed out", "timeout")  # words of a backend that lost a neighbour


class LostProcess(RuntimeError):
    """Another process of the run died or stopped answering."""


def join() -> None:
    """Join the processes of `torchrun`, where it started this one; otherwise nothing happens."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or not dist.is_available() or dist.is_initialized():
        return
    backend = "gloo"
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=PATIENCE)
    atexit.register(_leave)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


@contextmanager
def told_apart() -> Iterator[None]:
    """Within, a failure to reach the other processes says so.

    Raises:
        LostProcess: in the place of what the backend says.
    """
    try:
        yield
    except RuntimeError as error:
        said = " ".join(str(error).split())
        if not parallel.together() or not any(word in said for word in SILENCE):
            raise
        raise LostProcess(
            f"process {dist.get_rank()} of {dist.get_world_size()} lost another one ({said[:200]}); go on with resume"
        ) from None


class _Shell(nn.Module):
    """A step under the forward that an engine chose."""

    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step
        self.chosen: Callable[..., Loss] = step.__call__

    def forward(self, batch: Batch, phase: Phase, rows: Rows) -> Loss:
        return self.chosen(batch, phase, rows)


class Replicated(Engine):
    """The same weights on every process; gradients are averaged (DistributedDataParallel around each player)."""

    def wrap(self, players: Mapping[str, list[nn.Parameter]]) -> None:
        self._players, self._shells, self._wrapped = dict(players), dict[str, _Shell](), dict[str, nn.Module]()

    def _around(self, shell: _Shell, own: list[nn.Parameter], some_unused: bool) -> nn.Module:
        """A wrapper that waits for the gradients of these parameters alone."""
        mine = {id(p) for p in own}
        others = [p for p in shell.parameters() if p.requires_grad and id(p) not in mine]
        for parameter in others:
            parameter.requires_grad_(False)
        try:
            return nn.parallel.DistributedDataParallel(
                shell, forward_sync_buffers=False, find_unused_parameters=some_unused, gradient_as_bucket_view=True
            )
        finally:
            for parameter in others:
                parameter.requires_grad_(True)

    def loss(self, batch: Batch, phase: Phase, rows: Rows) -> Loss:
        if phase.player not in self._wrapped:
            shell, own = _Shell(self.step), self._players[phase.player]
            some_unused = _some_unused(self.step, own, batch, phase, rows)
            self._shells[phase.player], self._wrapped[phase.player] = shell, self._around(shell, own, some_unused)
        self._shells[phase.player].chosen = self.forward
        out: Loss = self._wrapped[phase.player](batch, phase, rows)
        return out

    def gradients(self, loss: Tensor, parameters: list[nn.Parameter]) -> None:
        for parameter in parameters:
            parameter.grad = None
        loss.backward(inputs=parameters)


def _some_unused(step: Step, own: list[nn.Parameter], batch: Batch, phase: Phase, rows: Rows) -> bool:
    """Whether a loss leaves some parameters without a gradient, seen in a rehearsal that leaves no trace in buffers.

    Looking for them at every step has its price, and not looking where there are some waits for ever.
    """
    loss = step.rehearse(batch, phase, rows.spawn())
    return any(g is None for g in torch.autograd.grad(loss.total, own, allow_unused=True))


class Sharded(Engine):
    """A share of every parameter on each process (`fully_shard`); the run learns a copy and hands the weights back.

    The step is one group; networks that keep their layers in a list `blocks` are gathered block by block.
    """

    def __init__(self, step: Step) -> None:
        from torch.distributed.fsdp import fully_shard

        self.home = step
        sharded = copy.deepcopy(step)
        for block in _blocks(sharded):
            fully_shard(block)
        fully_shard(sharded)
        super().__init__(sharded)

    def wrap(self, players: Mapping[str, list[nn.Parameter]]) -> None:
        self._pieces = list(self.step.parameters())  # between forward and backward the step holds the gathered ones

    def gradients(self, loss: Tensor, parameters: list[nn.Parameter]) -> None:
        for parameter in self._pieces:
            parameter.grad = None
        loss.backward()

    @contextmanager
    def whole(self) -> Iterator[None]:
        from torch.distributed.fsdp import FSDPModule

        groups = [m for m in self.step.modules() if isinstance(m, FSDPModule)]
        for group in groups:
            group.unshard()
        try:
            yield
        finally:
            for group in groups:
                group.reshard()

    def full(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: t.full_tensor() if hasattr(t, "full_tensor") else t for name, t in tensors.items()}

    def pieces(self, tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: _as_held(t, like.get(name)) for name, t in tensors.items()}

    def use(self, compile: bool, precision: str) -> None:
        if compile:  # parameters come and go around a forward, which no graph expects
            raise ValueError("expected compile='auto' or 'off' with parallel='fsdp', got 'on'; or take 'ddp'")
        super().use(False, precision)

    def end(self) -> None:
        super().end()
        learned = self.full(checkpoint.module_tensors("", self.step))
        checkpoint.load_module("", self.home, learned)

    @property
    def given(self) -> Any:
        return self.home.model


def _as_held(tensor: Tensor, like: Tensor | None) -> Tensor:
    """A whole tensor in the pieces that another is held in."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(like, DTensor) or isinstance(tensor, DTensor):
        return tensor
    return distribute_tensor(tensor.detach().to(like.device), like.device_mesh, like.placements)


def _blocks(module: nn.Module) -> list[nn.Module]:
    """The layers of networks that keep them in a list `blocks`."""
    lists = [getattr(m, "blocks", None) for m in module.modules()]
    return [block for blocks in lists if isinstance(blocks, nn.ModuleList) for block in blocks]
