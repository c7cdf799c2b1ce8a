"""`fairway log-prob RUN DATA [--out scores.csv]`: the log-likelihood of each row, nats, data units.

Where the model has only a bound (or the data are counted and the density continuous) the bound is written, and said.
"""

from typing import Any

from fairway.cli.parsing import parse, parser_of


def run(arguments: list[str]) -> int:
    """Score, print the mean, write the rows where asked."""
    parser = parser_of("log-prob", __doc__ or "")
    parser.add_argument("run", type=str, help="a run folder")
    parser.add_argument("data", type=str, help="a data set's name, or a path")
    parser.add_argument("--context", type=str | None, default=None, help="labels: condition on the classes")
    parser.add_argument("--out", type=str | None, default=None, help=".npy, .npz or .csv: one number a row")
    parser.add_argument("--seed", type=int, default=0, help="of a bound's noise")
    chosen = parse(parser, arguments, ["context", "out", "seed"])
    return _score(chosen)


def _score(chosen: Any) -> int:
    from fairway.cli.saving import save_rows
    from fairway.data.dataset import load as load_data
    from fairway.metrics.evaluate import evaluate
    from fairway.training.run_folder import load

    model = load(chosen.run)
    data = load_data(chosen.data, event=model.event)
    found = evaluate(model, data, _context(data, chosen.context), seed=chosen.seed)
    if found.relation == "none":
        answers = ", ".join(sorted(model.capabilities))
        raise ValueError(f"{model.name()} answers neither log_prob nor bound; it answers {answers}")
    sign = {"equal": "=", "lower": ">=", "upper": "<="}[found.relation]
    bits = "" if found.bits_per_dim is None else f", {found.bits_per_dim:.4f} bits/dim"
    value = f"{found.nats:.4f} +- {found.standard_error:.4f} nats{bits}"
    print(f"mean log p {sign} {value} ({found.method}, {len(found.value)} rows)")
    if chosen.out is not None:
        print(f"{save_rows(chosen.out, found.value.detach().cpu().double())}")
    return 0


def _context(data: Any, named: str | None) -> Any:
    if named is None:
        return None
    if named != "labels" or data.labels is None:
        raise ValueError(f"expected --context labels, and data that have them; got {named!r}")
    return data.labels
