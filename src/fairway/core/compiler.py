"""Whether `torch.compile` can make code on this machine: it writes C++ for processors and needs a compiler for it."""


def cannot_compile() -> str | None:
    """None where code can be compiled, else why not, in one line."""
    from torch._inductor.cpp_builder import get_cpp_compiler  # slow to import: only where someone asks
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except (InvalidCxxCompiler, RuntimeError):
        return "no C++ compiler was found"
    return None
