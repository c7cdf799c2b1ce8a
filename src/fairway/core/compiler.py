"""Whether `torch.compile` can make code on this machine: it writes C++ for processors and needs a compiler for it."""

import types
from collections.abc import Callable
from typing import Any


def cannot_compile() -> str | None:
    """None where code can be compiled, else why not, in one line."""
    from torch._inductor.cpp_builder import get_cpp_compiler  # slow to import: only where someone asks
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except (InvalidCxxCompiler, RuntimeError):
        return "no C++ compiler was found"
    return None


def alone(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with code of its own: what is compiled is counted by code, and there is a limit to the count."""
    assert isinstance(function, types.FunctionType)
    function.__code__ = function.__code__.replace()
    return function
