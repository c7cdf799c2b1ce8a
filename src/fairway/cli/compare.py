"""`fairway compare DATA --models a,b,c [--budget 30s] [--out FOLDER]`: the same rows, the same budget, one page."""

from pathlib import Path
from typing import Any

from fairway.cli.parsing import parse, parser_of
from fairway.cli.reading import Reader


def run(arguments: list[str]) -> int:
    """Compare; prints the table and where the report and the pictures are. 1 where a model failed."""
    parser = parser_of("compare", __doc__ or "")
    parser.add_argument("data", help="a data set's name, or a path")
    parser.add_argument("--models", help="names with commas between (fairway list)")
    parser.add_argument("--budget", help="training time for each: 30s, 5m")
    parser.add_argument("--steps", type=Reader(int | None), help="or steps")
    parser.add_argument("--seed", type=Reader(int), default=0, help="of the split, the training and the samples")
    parser.add_argument("--holdout", type=Reader(float | None), help="share of rows held out")
    parser.add_argument("--context", help="labels: condition on the classes")
    parser.add_argument("--out", default="runs/compare", help="folder for the report, pictures and runs")
    chosen = parse(parser, arguments)
    if not (chosen.models or "").strip(" ,"):
        raise ValueError("expected --models a,b,c: names that `fairway list` shows")
    return _compare(chosen)


def _compare(chosen: Any) -> int:
    from fairway.report.compare import compare

    found = compare(
        chosen.models,
        chosen.data,
        context=chosen.context,
        budget=chosen.budget,
        steps=chosen.steps,
        seed=chosen.seed,
        holdout=chosen.holdout,
        out=chosen.out,
    )
    print(found)
    out = Path(chosen.out)
    print(f"report: {out / 'report.html'}\npictures: {out / 'pictures'}")
    return int(any(row.status != "ok" for row in found.rows if row.kind == "model"))
