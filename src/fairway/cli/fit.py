"""`fairway fit MODEL DATA [options]`: train, and leave a run folder.

Options are the model's own (its constructor), those of its objective (--objective.NAME) and those of the fit. With
`--config RUN/config.json` everything not said on the command line is as it was in that run.
"""

import sys
from typing import Any

from fairway.cli.options import add_options, value_of, without
from fairway.cli.parsing import parse, parser_of, plain
from fairway.cli.safe import read_config_file
from fairway.core.config import from_json, lookup

SKIP = ("model", "x", "context", "weights", "objective", "preprocess", "callbacks", "progress", "dtype", "out")


def run(arguments: list[str]) -> int:
    """Train a model; prints where the run is."""
    from fairway.models.registry import models

    config = _config(arguments)
    words = without(without(arguments, "config"), "objective")
    name = config["model"] if config else next((word for word in words if not word.startswith("-")), None)
    if name is None:
        print(__doc__)
        print(f"models: {', '.join(models)}")
        return 0 if {"-h", "--help"} & set(words) else 2
    if not config:
        words.remove(name)
    cls = lookup("model", name)  # stage one is over: only this model's module is imported
    learner = _learner_class(cls, value_of(arguments, "objective"), config)
    return _parse_and_fit(name, cls, learner, words, value_of(arguments, "objective"), config)


def _config(arguments: list[str]) -> dict[str, Any]:
    path = value_of(arguments, "config")
    return {} if path is None else read_config_file(path)


def _learner_class(cls: Any, named: str | None, config: dict[str, Any]) -> Any:
    """The class of the objective whose options are offered."""
    if named is not None:
        return lookup("objective", named)
    if config.get("objective"):
        return lookup("objective", config["objective"]["objective"])
    case = cls.tiny[0]
    return type(cls(case.event, case.context_event, **case.arguments).default_objective())


def _parse_and_fit(
    name: str, cls: Any, learner: Any, words: list[str], objective: str | None, config: dict[str, Any]
) -> int:
    """Stage two: this model's options, parsed and handed to `fit`."""
    from fairway.training.fit import fit

    parser = parser_of(f"fit {name}", f"{(cls.__doc__ or name).splitlines()[0]} Data: a name, or a path.")
    then, learned = config.get("arguments", {}), dict(config.get("objective") or {})
    learned.pop("objective", None)
    own = add_options(parser, f"{name}", cls, skip=("event", "context_event"), **_plain(then))
    theirs = add_options(parser, f"its objective ({learner.name()})", learner, prefix="objective.", **_plain(learned))
    fits = add_options(parser, "the fit", fit, skip=SKIP, **_plain(config.get("fit", {})))
    parser.add_argument("data", nargs="?" if config else None, type=str, help="a data set's name, or a path")
    parser.add_argument("--context", type=str | None, default=_context(config), help="labels: condition on the classes")
    parser.add_argument("--holdout", type=float | None, default=None, help="share of rows kept for `evaluate`")
    parser.add_argument("--dtype", type=str | None, default=None, help="float32 or float64")
    parser.add_argument("--out", type=str | None, default=None, help="run folder (runs/MODEL-DATA if not said)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    others = ["context", "holdout", "dtype", "out", "quiet", "objective", "config"]
    chosen = parse(parser, words, [*own, *theirs, *fits, *others])
    options = {**plain(chosen, own), **plain(chosen, theirs), **plain(chosen, fits)}
    rest = set(then) - set(own) - {"event", "context_event"}
    options |= {key: from_json(then[key]) for key in rest}  # parts, which no option can carry
    return _fit(name, chosen, options, objective or (config.get("objective") or {}).get("objective"), config)


def _fit(name: str, chosen: Any, options: dict[str, Any], objective: str | None, config: dict[str, Any]) -> int:
    from fairway.data.dataset import load as load_data
    from fairway.report.held_out import record
    from fairway.training.fit import fit

    source = chosen.data
    if source is None:
        raise ValueError("expected DATA: a data set's name or a path")
    data = load_data(source)
    train, part = _training_part(data, chosen.holdout, chosen.seed)
    out = chosen.out or f"runs/{name}-{data.name}"
    options |= {"context": chosen.context, "objective": objective, "dtype": chosen.dtype, "out": out}
    model = fit(name, train, progress=not chosen.quiet and sys.stderr.isatty(), **options)
    if part is not None:
        record(out, **part)
    print(_said(model))
    print(f"the run is in {out}")
    return 0


def _training_part(data: Any, holdout: float | None, seed: int) -> tuple[Any, dict[str, Any] | None]:
    """The rows to train on, and what to write down of the ones kept back (the publishers' test split by default)."""
    if holdout is None and data.test is None:
        return data, None
    return data.split(holdout, seed)[0], {"holdout": holdout, "seed": seed}


def _said(model: Any) -> str:
    history = model.history
    said = f"{model.name()}: {history.steps} steps in {history.seconds:.1f} s ({history.stopped})"
    if history.monitor is None:
        return said
    return f"{said}; held-out {history.monitor} {history.best:.4f} at step {history.best_step}"


def _plain(entries: dict[str, Any]) -> dict[str, Any]:
    """Entries that an option can carry."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in entries.items() if not isinstance(v, dict)}


def _context(config: dict[str, Any]) -> str | None:
    return "labels" if config.get("arguments", {}).get("context_event") else None
