"""A comparison as one HTML page that carries everything in itself: no network, no script, light and dark, any width.

On a wide screen the results are one table; below 640 px each row becomes a card whose cells say their own titles.
"""

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from fairway.core.event import Event
from fairway.report.curve import curve, drawn
from fairway.report.pictures import data_uri, picture, png
from fairway.report.row import NOTHING, Column, Row, columns, likelihood_text, number, unit

if TYPE_CHECKING:
    from fairway.report.compare import Comparison


def page(found: "Comparison") -> str:
    """The whole page as text."""
    style = files("fairway.report").joinpath("page.css").read_text(encoding="utf-8")
    images, about = pictures(found), found.about
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            f"<title>{escape(about['title'])}</title><style>{style}</style></head><body><main>",
            _header(found),
            _results(found.rows),
            _samples(found.rows, images),
            _failures(found.rows),
            _footer(about),
            "</main></body></html>\n",
        ]
    )


def pictures(found: "Comparison") -> dict[str, bytes]:
    """A PNG file for every row that has samples."""
    event = Event.from_dict(found.about["event"])
    return {name: png(picture(samples, event, found.real)) for name, samples in found.samples.items()}


# -- parts ------------------------------------------------------------------------------------------------------
def _header(found: "Comparison") -> str:
    about = found.about
    facts = {
        "Protocol": about["protocol"],
        "Trained on": f"{about['train']:,} rows",
        "Held out": f"{about['held_out']:,} rows",
        "Training": f"{about['budget']} each",
        "Seed": str(about["seed"]),
    }
    cells = "".join(f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>" for key, value in facts.items())
    name, _, rest = about["title"].partition(":")
    title = f'<p class="mark">fairway</p><h1>{escape(name)}<span>{escape(rest)}</span></h1>'
    return f"<header>{title}<dl>{cells}</dl></header>"


def _results(rows: Sequence[Row]) -> str:
    """The table; models first, then the references; in the order asked for."""
    shown = columns(rows)
    head = "".join(f'<th scope="col" title="{escape(c.meaning)}">{escape(c.title)}</th>' for c in shown)
    body = "".join(
        f'<tbody class="{kind}">{"".join(_row(row, shown) for row in rows if row.kind == kind)}</tbody>'
        for kind in ("model", "reference")
    )
    notes = "".join(f"<li><b>{escape(c.title)}</b> {escape(c.meaning)}</li>" for c in shown)
    return (
        f'<section><h2>Results</h2><div class="scroll" tabindex="0" role="region" aria-label="Results">'
        f'<table><thead><tr><th scope="col">Model</th>{head}</tr></thead>{body}</table></div>'
        f"<details><summary>How to read the columns</summary><ul>{notes}</ul></details></section>"
    )


def _row(row: Row, shown: Sequence[Column]) -> str:
    name = f'<th scope="row">{escape(row.name)}</th>'
    if row.status == "failed":
        return (
            f'<tr class="failed">{name}<td class="reason" colspan="{len(shown)}">failed: {escape(row.reason)}</td></tr>'
        )
    cells = "".join(_cell(column, column.text(row)) for column in shown)
    return f"<tr>{name}{cells}</tr>"


def _cell(column: Column, text: str) -> str:
    empty = " empty" if text == NOTHING else ""
    return f'<td class="{column.key}{empty}" data-title="{escape(column.title)}"><span>{escape(text)}</span></td>'


def _samples(rows: Sequence[Row], images: dict[str, bytes]) -> str:
    """Real data first, then every model with its picture and its training curve, then the other references."""
    ordered = sorted(rows, key=lambda row: (row.name != "fresh real data", row.kind == "reference"))
    cards = "".join(_card(row, images[row.name]) for row in ordered if row.name in images)
    return f'<section><h2>Samples and training</h2><div class="cards">{cards}</div></section>'


def _card(row: Row, image: bytes) -> str:
    what = "held-out rows" if row.name == "fresh real data" else "samples"
    drawing = curve(row.history, row.name)
    legend = _legend(row) if drawing else ""
    return (
        f'<figure class="{row.kind}"><figcaption><b>{escape(row.name)}</b>{_headlines(row)}</figcaption>'
        f'<img src="{data_uri(image)}" alt="{escape(f"{row.name}: {what}")}">{drawing}{legend}</figure>'
    )


def _headlines(row: Row) -> str:
    """The likelihood with its unit and the distance, always two lines, so that the pictures of a row align."""
    text = likelihood_text(row)
    first = f"{text} {unit(row)}" if text != NOTHING else "no likelihood" if row.kind == "model" else "reference"
    return f"<span>{escape(first)}</span><span>distance {escape(number(row.distance))}</span>"


def _legend(row: Row) -> str:
    """The lines that the curve shows, and why training ended."""
    names = {"loss": "loss", "monitor": "held-out monitor"}
    shown = [f'<span><i class="{key}"></i>{names[key]}</span>' for key in drawn(row.history)]
    ended = [f"<span>{escape(row.stopped)}</span>"] if row.stopped else []
    return f'<p class="legend">{"".join(shown + ended)}</p>'


def _failures(rows: Sequence[Row]) -> str:
    failed = [row for row in rows if row.status == "failed"]
    if not failed:
        return ""
    items = "".join(f"<li><b>{escape(row.name)}</b> {escape(row.reason)}</li>" for row in failed)
    return f"<section><h2>Failed</h2><ul>{items}</ul></section>"


def _footer(about: dict[str, Any]) -> str:
    """What it ran on."""
    versions = f"fairway {escape(about['fairway'])} · torch {escape(about['torch'])}"
    machine = f"{_count(about['threads'], 'thread')} on {_count(about['cores'], 'core')}"
    return f"<footer>{versions} · {machine} · data digest {escape(about['digest'][:12])}</footer>"


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
