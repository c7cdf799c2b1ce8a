"""`fairway log-prob RUN DATA [--out scores.csv]`: the log-likelihood of each row, nats, data units.

Where the model has only a bound (or the data are counted and the density continuous) the bound is written, and said.
"""

from typing import Any

from fairway.cli.parsing import parse, parser_of
from fairway.cli.reading import Reader

SIGNS = {"equal": ("=", "="), "lower": (">=", "<="), "upper": ("<=", ">=")}  # of nats, and of bits per dimension


def run(arguments: list[str]) -> int:
    """Score, print the mean, write the rows where asked."""
    parser = parser_of("log-prob", __doc__ or "")
    parser.add_argument("run", help="a run folder")
    parser.add_argument("data", help="a data set's name, or a path")
    parser.add_argument("--context", help="labels: condition on the classes")
    parser.add_argument("--out", help=".npy, .npz or .csv: one number a row")
    parser.add_argument("--draws", type=Reader(int), default=8, help="of a bound's noise, per row")
    parser.add_argument("--seed", type=Reader(int), default=0, help="of a bound's noise")
    return _score(parse(parser, arguments))


def _score(chosen: Any) -> int:
    from fairway.cli.context import labels_of
    from fairway.cli.saving import check_path, save_rows
    from fairway.data.dataset import load as load_data
    from fairway.metrics.evaluate import evaluate
    from fairway.training.run_folder import load

    check_path(chosen.out, (".npy", ".npz", ".csv"))
    model = load(chosen.run)
    data = load_data(chosen.data, event=model.event)
    found = evaluate(model, data, labels_of(model, data, chosen.context), samples=chosen.draws, seed=chosen.seed)
    if found.relation == "none":
        answers = ", ".join(sorted(model.capabilities))
        raise ValueError(f"{model.name()} answers neither log_prob nor bound; it answers {answers}")
    print(_said(found))
    if chosen.out is not None:
        print(f"{save_rows(chosen.out, found.value.detach().cpu().double())}")
    return 0


def _said(found: Any) -> str:
    """The mean with its relation, error and method."""
    nats, bits = SIGNS[found.relation]
    per_dim = "" if found.bits_per_dim is None else f", {bits} {found.bits_per_dim:.4f} bits/dim"
    value = f"{found.nats:.4f} +- {found.standard_error:.4f} nats{per_dim}"
    return f"mean log p {nats} {value} ({found.method}, {len(found.value)} rows)"
