"""`fairway evaluate RUN [DATA]`: the held-out likelihood of a run, with its relation, method and standard error.

Without DATA the rows are those the run held out of its own source; a run trained on every row asks for DATA.
"""

import json
import math
from typing import Any

from fairway.cli.parsing import parse, parser_of
from fairway.cli.reading import Reader


def run(arguments: list[str]) -> int:
    """Evaluate and print."""
    parser = parser_of("evaluate", __doc__ or "")
    parser.add_argument("run", help="a run folder")
    parser.add_argument("data", nargs="?", help="a data set's name, or a path")
    parser.add_argument("--context", help="labels: condition on the classes")
    parser.add_argument("--draws", type=Reader(int), default=8, help="of a bound's noise, per row")
    parser.add_argument("--seed", type=Reader(int), default=0, help="of a bound's noise")
    parser.add_argument("--json", action="store_true", help="print the record as JSON")
    chosen = parse(parser, arguments)
    found = _evaluate(chosen)
    print(json.dumps(found, indent=2) if chosen.json else "\n".join(_lines(found)))
    return 0


def _evaluate(chosen: Any) -> dict[str, Any]:
    from fairway.cli.context import labels_of
    from fairway.data.dataset import load as load_data
    from fairway.metrics import cost
    from fairway.metrics.evaluate import evaluate
    from fairway.report.held_out import held_out
    from fairway.report.row import jsonable
    from fairway.training.run_folder import load

    model = load(chosen.run)
    data = held_out(chosen.run) if chosen.data is None else load_data(chosen.data, event=model.event)
    context = labels_of(model, data, chosen.context)
    found: dict[str, Any] = {"model": model.name(), "data": data.name}
    found |= evaluate(model, data, context, samples=chosen.draws, seed=chosen.seed).to_dict()
    found["parameters"] = cost.parameters(model)
    found["strokes"] = cost.strokes(model, context=None if context is None else context[0], generator=chosen.seed)
    record: dict[str, Any] = jsonable(found)
    return record


def _lines(found: dict[str, Any]) -> list[str]:
    """What there is to say, a line each; the named costs of a bound below one another."""
    flat = {**found, **{f"cost: {name}": value for name, value in (found["terms"] or {}).items()}}
    return [f"{key:<20} {_text(value)}" for key, value in flat.items() if value is not None and key != "terms"]


def _text(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) and math.isfinite(value) else str(value)
