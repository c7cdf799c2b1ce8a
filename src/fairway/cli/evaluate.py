"""`fairway evaluate RUN [DATA]`: the held-out likelihood of a run, with its relation, method and standard error.

Without DATA the rows are those the run held out of its own source; a run trained on every row asks for DATA.
"""

import json
from typing import Any

from fairway.cli.parsing import parse, parser_of


def run(arguments: list[str]) -> int:
    """Evaluate and print."""
    parser = parser_of("evaluate", __doc__ or "")
    parser.add_argument("run", type=str, help="a run folder")
    parser.add_argument("data", nargs="?", type=str, help="a data set's name, or a path")
    parser.add_argument("--context", type=str | None, default=None, help="labels: condition on the classes")
    parser.add_argument("--draws", type=int, default=8, help="of a bound's noise, per row")
    parser.add_argument("--seed", type=int, default=0, help="of a bound's noise")
    parser.add_argument("--json", action="store_true", help="print the record as JSON")
    chosen = parse(parser, arguments, ["context", "draws", "seed", "json"])
    return _evaluate(chosen)


def _evaluate(chosen: Any) -> int:
    from fairway.cli.log_prob import _context
    from fairway.data.dataset import load as load_data
    from fairway.metrics import cost
    from fairway.metrics.evaluate import evaluate
    from fairway.report.held_out import held_out
    from fairway.training.run_folder import load

    model = load(chosen.run)
    data = held_out(chosen.run) if chosen.data is None else load_data(chosen.data, event=model.event)
    context = _context(data, chosen.context)
    found = evaluate(model, data, context, samples=chosen.draws, seed=chosen.seed).to_dict()
    found |= {"model": model.name(), "data": data.name, "parameters": cost.parameters(model)}
    found["strokes"] = cost.strokes(model, context=None if context is None else context[0], generator=chosen.seed)
    if chosen.json:
        print(json.dumps(found, indent=2))
    else:
        for key, value in found.items():
            print(f"{key:<20} {value:.4f}" if isinstance(value, float) else f"{key:<20} {value}")
    return 0
