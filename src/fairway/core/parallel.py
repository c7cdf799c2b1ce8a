"""What several processes of one run tell each other; each function is the identity where there is one process.

A batch of B rows over W processes: process r holds rows r B/W, ..., (r + 1) B/W - 1 of it, in order. Means of losses
are taken over all B rows, so that W processes learn what one process with all the rows would:

    total(x)     sum_r x_r                    statistics, counts
    mean(x)      sum_r x_r / W                logs
    gathered(x)  x_0, ..., x_{W-1} in a row   what couples rows: chains, codes
    in_step(x)   value mean(x), gradient of x_r alone: under a mean of gradients, f(in_step(x)) learns f(mean(x))
    agreed(x)    x_0                          what a clock decided

Every process must call them in the same order.

>>> import torch
>>> size(), float(total(torch.tensor(3.0)))
(1, 3.0)
"""

import json
import time
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def together() -> bool:
    """Whether this process is one of several that share a run."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def size() -> int:
    """Number of processes."""
    return dist.get_world_size() if together() else 1


def rank() -> int:
    """This process's number, from 0; process 0 writes and prints."""
    return dist.get_rank() if together() else 0


def total(x: Tensor) -> Tensor:
    """The sum over processes, without gradient: a tensor of the same shape on each."""
    x = x.detach()
    if not together():
        return x
    x = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(x)
    return x


def mean(x: Tensor) -> Tensor:
    """The mean over processes, without gradient."""
    return total(x) / size() if together() else x.detach()


def gathered(x: Tensor) -> Tensor:
    """All processes' rows (n, ...) in order, (W n, ...); without gradient."""
    if not together():
        return x
    x = x.detach().contiguous()
    parts = [torch.empty_like(x) for _ in range(size())]
    dist.all_gather(parts, x)
    return torch.cat(parts)


def in_step(x: Tensor) -> Tensor:
    """The mean over processes as a value, with the gradient of this process's own part."""
    return x + (mean(x) - x.detach()) if together() else x


def agreed(value: T) -> T:
    """Process 0's value, JSON-ready (processes on one accelerator each talk through a backend for CPU tensors, too)."""
    if not together():
        return value
    data = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
    length = torch.tensor([len(data)])
    dist.broadcast(length, 0)
    data = data if rank() == 0 else torch.empty(int(length), dtype=torch.uint8)
    dist.broadcast(data, 0)
    said: T = json.loads(bytes(data.tolist()))
    return said


def clock() -> float:
    """Seconds on process 0's clock, from an unknown start: what it decides is the same everywhere."""
    return agreed(time.perf_counter())


def first_said(word: str | None) -> str | None:
    """The word of the first process that has one."""
    if not together():
        return word
    data = torch.zeros(80, dtype=torch.uint8)
    said = (word or "").encode()[:80]
    data[: len(said)] = torch.tensor(list(said), dtype=torch.uint8)
    words = [bytes(row.tolist()).rstrip(b"\0").decode() for row in gathered(data.unsqueeze(0))]
    return next((w for w in words if w), None)


def wait() -> None:
    """Wait until every process is here."""
    if together():
        dist.barrier()
