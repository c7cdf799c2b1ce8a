"""How much a model may take while it is built from a file: memory and operations, counted as torch is called.

A configuration of one line can ask for 10^12 components, or for 10^12 layers one after another. The weights lie
beside it: a model that takes many times their bytes is not the one that was saved, and is stopped before the memory
is asked for.

>>> with Allowance(1000, 10):
...     torch.zeros(10, 10**12)
Traceback (most recent call last):
...
fairway.training.allowance.TooLarge: a tensor of 4e+13 bytes, with 1e+03 left
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

FACTORIES: frozenset[Callable[..., Any]] = frozenset(
    [getattr(torch, name) for name in ("empty", "zeros", "ones", "full", "eye", "arange", "linspace", "logspace")]
    + [getattr(torch, name) for name in ("rand", "randn", "randint", "randperm", "tril_indices", "triu_indices")]
    + [getattr(Tensor, name) for name in ("new_empty", "new_zeros", "new_ones", "new_full", "repeat")]
)
ELSEWHERE = ("generator", "device", "out", "pin_memory")  # what a tensor without memory does without


class TooLarge(ValueError):
    """More than was allowed."""


class Allowance(TorchFunctionMode):
    """Within it, tensors and operations are counted; a tensor too large is refused before it is made.

    Args:
        size: bytes of all new tensors together. operations: calls of torch.

    Raises:
        TooLarge: more of either.
    """

    def __init__(self, size: int, operations: int) -> None:
        super().__init__()
        self.size, self.operations = size, operations

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.operations -= 1
        if func in FACTORIES:  # raise nowhere else: a `no_grad` block that ends is a call, too
            self._pay(_bytes(func, args, kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _pay(self, size: int) -> None:
        if self.operations < 0:
            raise TooLarge("more layers than it has weights for")
        if size > self.size:
            raise TooLarge(f"a tensor of {size:.3g} bytes, with {self.size:.3g} left")
        self.size -= size


def _bytes(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> int:
    """What a call will take, asked of tensors without memory; 0 where the call is wrong anyway."""
    options = {key: value for key, value in kwargs.items() if key not in ELSEWHERE}
    try:
        if func is Tensor.repeat:
            return int(func(args[0].to("meta"), *args[1:], **options).nbytes)
        return int(func(*args, **options, device="meta").nbytes)
    except (RuntimeError, TypeError, ValueError, OverflowError):
        return 0
