"""What a model is made of and what it answers, as one table.

    one row per module that owns parameters:   its place in the model, its class, their shapes, their number, how many
                                               of them train
    below:                                     event and context, units, what can be asked of it, what its density is,
                                               size in memory, cost of a draw, papers

A parameter that two modules share is counted once, where it stands first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from torch import Tensor, nn

HEADER = ("part", "class", "shapes", "parameters", "trainable")
SHOWN = 4  # shapes of one row that are spelt out


@dataclass(frozen=True)
class Part:
    """A module and the parameters that it owns.

    Args:
        name: its place in the model ("" for the model itself). kind: its class.
        shapes: name -> shape of each parameter.
        parameters, trainable: how many numbers.
    """

    name: str
    kind: str
    shapes: dict[str, tuple[int, ...]]
    parameters: int
    trainable: int

    def cells(self) -> tuple[str, ...]:
        """The row of the table."""
        said = [f"{name} {'x'.join(map(str, shape)) or '1'}" for name, shape in self.shapes.items()]
        more = [f"... {len(said) - SHOWN} more"] if len(said) > SHOWN else []
        shapes = ", ".join(said[:SHOWN] + more)
        return (self.name or "(model)", self.kind, shapes, f"{self.parameters:,}", f"{self.trainable:,}")


@dataclass(frozen=True)
class Summary:
    """A model's parts and facts; prints as text, and as HTML in a notebook.

    Args:
        title: the model's name.
        parts: rows of the table.
        facts: what else there is to know, by name.
    """

    title: str
    parts: tuple[Part, ...]
    facts: dict[str, str]

    @property
    def parameters(self) -> int:
        """How many numbers all parts hold."""
        return sum(part.parameters for part in self.parts)

    @property
    def trainable(self) -> int:
        """How many of them train."""
        return sum(part.trainable for part in self.parts)

    def rows(self) -> list[tuple[str, ...]]:
        """The table without its header; the last row is the total."""
        total = ("total", "", "", f"{self.parameters:,}", f"{self.trainable:,}")
        return [*(part.cells() for part in self.parts), total]

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(HEADER, *self.rows(), strict=True)]
        lines = [_line(row, widths) for row in [HEADER, *self.rows()]]
        return "\n".join([self.title, *lines, *(f"{name}: {value}" for name, value in self.facts.items())])

    def _repr_html_(self) -> str:
        rows = "".join(_html_row(row, "td") for row in self.rows())
        facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in self.facts.items())
        table = f"<table>{_html_row(HEADER, 'th')}{rows}</table>"
        return f"<p><b>{escape(self.title)}</b></p>{table}<dl>{facts}</dl>"


def summary(model: Any) -> Summary:
    """The summary of a model.

    >>> from fairway.core.event import Event
    >>> from fairway.models.classical.gaussian import Gaussian
    >>> print(summary(Gaussian(Event((2,)))).facts["event"])
    Event(shape=(2,), kind='real')
    """
    return Summary(model.name(), _parts(model), _facts(model))


def _parts(model: nn.Module) -> tuple[Part, ...]:
    """The modules that own parameters, in the model's own order."""
    seen: set[int] = set()
    found = [_part(name, module, seen) for name, module in model.named_modules()]
    return tuple(part for part in found if part.shapes)


def _part(name: str, module: nn.Module, seen: set[int]) -> Part:
    own = {k: p for k, p in module.named_parameters(recurse=False) if id(p) not in seen}
    seen.update(id(p) for p in own.values())
    shapes = {k: tuple(p.shape) for k, p in own.items()}
    return Part(name, type(module).__name__, shapes, _count(own.values()), _count(own.values(), trainable=True))


def _count(parameters: Any, trainable: bool = False) -> int:
    return sum(p.numel() for p in parameters if p.requires_grad or not trainable)


def _facts(model: Any) -> dict[str, str]:
    """What the table cannot say; nothing where there is nothing."""
    tensors = {id(t): t for t in [*model.parameters(), *model.buffers()]}
    facts = {
        "event": str(model.event),
        "context": "" if model.context_event is None else str(model.context_event),
        "units": f"{_of(model.preprocess)}, model event {model.model_event}",
        "context units": "" if model.context_preprocess is None else _of(model.context_preprocess),
        "answers": ", ".join(sorted(model.capabilities)),
        "density": model.likelihood,
        "memory": f"{_size(list(tensors.values()))} with its buffers, {str(model.dtype).removeprefix('torch.')}",
        "strokes": f"{model.strokes:g} network evaluations per draw",
        "cites": ", ".join(model.cites),
    }
    return {name: value for name, value in facts.items() if value}


def _of(preprocessing: Any) -> str:
    return f"{preprocessing!r}".split("\n")[0].removesuffix("(").removesuffix("()")


def _size(tensors: Sequence[Tensor]) -> str:
    size = float(sum(t.numel() * t.element_size() for t in tensors))
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    """Words to the left, numbers to the right."""
    cells = [c.ljust(w) if j < 3 else c.rjust(w) for j, (c, w) in enumerate(zip(row, widths, strict=True))]
    return "  ".join(cells).rstrip()


def _html_row(row: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row) + "</tr>"
