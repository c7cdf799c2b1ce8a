"""The comparison as a table for a terminal of 120 columns: models first, references below a line."""

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from fairway.report.row import NOTHING, Column, Row, columns

WIDTH = 120


def table(rows: Sequence[Row], title: str = "", notes: Sequence[str] = ()) -> Table:
    """A `rich` table; why a row failed stands below it.

    Args:
        rows: in the order they are shown: never sorted, so that nothing is ranked across protocols.
        notes: lines below the table.
    """
    shown = columns(rows)
    out = Table(title=title or None, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left", show_edge=False)
    out.add_column("", no_wrap=True)
    for column in shown:
        out.add_column(column.short, justify="right", no_wrap=True)
    models, references = ([row for row in rows if row.kind == kind] for kind in ("model", "reference"))
    for i, row in enumerate([*models, *references]):
        last_model = row.kind == "model" and i == len(models) - 1
        out.add_row(*_cells(row, shown), end_section=last_model and bool(references))
    lines = [*notes, *(f"{row.name} failed: {row.reason}" for row in rows if row.status == "failed")]
    out.caption, out.caption_justify = Text("\n".join(lines), style="dim"), "left"
    return out


def _cells(row: Row, shown: Sequence[Column]) -> list[Any]:
    if row.status == "failed":
        return [row.name, Text("failed", style="red"), *[NOTHING] * (len(shown) - 1)]
    return [Text(row.name, style="bold" if row.kind == "model" else "dim"), *(column.text(row) for column in shown)]


def as_text(rows: Sequence[Row], title: str = "", notes: Sequence[str] = (), width: int = WIDTH) -> str:
    """The table as plain text."""
    from rich.console import Console

    console = Console(width=width, no_color=True, highlight=False, force_terminal=False)
    with console.capture() as captured:
        console.print(table(rows, title, notes))
    return captured.get()
