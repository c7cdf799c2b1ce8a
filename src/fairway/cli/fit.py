"""`fairway fit MODEL DATA [options]`: train, and leave a run folder.

Options are the model's own (its constructor), those of its objective (--objective.NAME; another one with --objective)
and those of the fit. With `--config RUN/config.json` everything not said on the command line is as it was in that run.
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fairway.cli.messages import messages
from fairway.cli.options import add_options, plain_options, said, value_of, without
from fairway.cli.parsing import parse, parser_of, plain
from fairway.cli.reading import Reader
from fairway.cli.rerun import LENGTH, Before, before
from fairway.core.config import from_json, lookup
from fairway.core.words import one_line
from fairway.training.interrupt import Interrupted, terminable

SKIP = ("model", "x", "context", "weights", "objective", "preprocess", "callbacks", "progress", "dtype", "out")


def run(arguments: list[str]) -> int:
    """Train a model; prints where the run is."""
    from fairway.models.registry import models

    then = before(value_of(arguments, "config"))
    objective = value_of(arguments, "objective") or then.objective
    words = without(without(arguments, "config"), "objective")
    if then.model is None and words[:1] in (["-h"], ["--help"]):
        print(f"{__doc__}\nmodels: {', '.join(models)}\n\nfairway fit MODEL --help lists a model's options")
        return 0
    name, words = _model_name(words, then, list(models))
    cls = lookup("model", name)  # stage one is over: only this model's module is imported
    chosen, options = _parse(name, cls, objective, words, then)
    try:
        with messages(), terminable():
            return _fit(name, chosen, {**options, "objective": objective}, then)
    except Interrupted as stopped:
        print(_how_to_go_on(stopped, arguments), file=sys.stderr)
        return stopped.exit_code


def _how_to_go_on(stopped: Interrupted, arguments: Sequence[str]) -> str:
    """One line: where a signal stopped the run, and the command that goes on from there."""
    if stopped.folder is None:
        return f"stopped by {stopped.signal}"
    again = [*arguments, *(() if "--resume" in arguments else ("--resume",))]
    return f"stopped at step {stopped.step} by {stopped.signal}; go on with: fairway fit {shlex.join(again)}"


def _model_name(words: list[str], then: Before, models: list[str]) -> tuple[str, list[str]]:
    """The model, and the words after it; a configuration names it already.

    Raises:
        ValueError: no model where one belongs, or another one than the configuration's.
    """
    first = words[0] if words else None
    if then.model is not None and first not in models:
        return then.model, words
    if then.model not in (None, first):
        raise ValueError(f"expected the configuration's model {then.model!r}, got {first!r}; leave it out")
    if first is None:
        raise ValueError(f"expected MODEL and DATA, got none; models: {', '.join(models)}")
    if first.startswith("-"):
        raise ValueError(f"expected MODEL first, as in `fairway fit {models[0]} moons`, got {first!r}")
    return first, words[1:]


def _parse(name: str, cls: Any, objective: str | None, words: list[str], then: Before) -> tuple[Any, dict[str, Any]]:
    """Stage two, this model's options: what was parsed, and what `fit` is told beyond its own defaults."""
    from fairway.training.fit import fit

    parser = parser_of(f"fit {name}", f"{(cls.__doc__ or name).splitlines()[0]} Data: a name, or a path.")
    taken = [*plain_options(fit), *SKIP, "event", "context_event"]  # the fit's own names come first
    learner, preset = _learner(cls, objective)
    learned = then.of_objective(learner, objective)
    model = then.of_model(cls, taken)
    own = add_options(parser, name, cls, skip=taken, defaults=model)
    title = f"its objective ({learner.name()})" if learner else ""
    theirs = add_options(parser, title, learner, "objective.", defaults={**preset, **learned}) if learner else []
    fits = add_options(parser, "the fit", fit, skip=SKIP, defaults=then.of_fit(list(plain_options(fit, SKIP))))
    _add_plain(parser, then)
    chosen = parse(parser, words, ["--objective", "--config"])
    kept = model | {f"objective.{key}": value for key, value in learned.items()} | then.of_fit(fits)
    return chosen, _told(chosen, words, [*own, *theirs, *fits], kept, then.length())


def _told(
    chosen: Any, words: list[str], options: list[str], kept: dict[str, Any], length: dict[str, Any]
) -> dict[str, Any]:
    """What `fit` is told: what was kept of an earlier run, below what the command line said."""
    named = said(words, options)
    parts = {key: from_json(value) for key, value in kept.items() if key not in LENGTH}
    again = [name for name in options if name in named or name in parts]
    return {**parts, **({} if set(LENGTH) & set(named) else length), **plain(chosen, again)}


def _learner(cls: Any, objective: str | None) -> tuple[Any, dict[str, Any]]:
    """The class of the objective whose options are offered, and what the model presets of them."""
    if objective is not None:
        return lookup("objective", objective), {}
    if not cls.tiny:
        return None, {}
    case = cls.tiny[0]
    own = cls(case.event, case.context_event, **case.arguments).default_objective()
    return type(own), dict(own.arguments)


def _add_plain(parser: Any, then: Before) -> None:
    """What every model takes and no signature states as a plain type."""
    parser.add_argument("data", nargs="?" if then.model else None, help="a data set's name, or a path")
    parser.add_argument("--stream", action="store_true", help="DATA is a path; leave it on disk (a folder of shards)")
    parser.add_argument("--context", default=then.context, help="labels: condition on the classes")
    parser.add_argument(
        "--holdout", type=Reader(float | None), default=then.holdout, help="share of rows kept for `evaluate`"
    )
    parser.add_argument("--dtype", default=then.dtype, help="float32 or float64")
    parser.add_argument("--init", help="run folder with the same event, to begin from its weights")
    parser.add_argument("--out", help="run folder (runs/MODEL-DATA if not said)")
    parser.add_argument("--checkpoint_every", type=Reader(int | None), help="steps between two checkpoints (50)")
    parser.add_argument("--log", type=Reader(tuple[str, ...]), default=(), help="tensorboard, wandb, or both")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def _fit(name: str, chosen: Any, options: dict[str, Any], then: Before) -> int:
    from fairway.core import parallel
    from fairway.data.dataset import load as load_data
    from fairway.report.held_out import record
    from fairway.training.fit import fit

    data = then.source() if chosen.data is None else load_data(chosen.data, stream=chosen.stream)
    train, part = _training_part(data, chosen.holdout, chosen.seed)
    out = chosen.out or f"runs/{name}-{data.name}"
    options |= {"context": chosen.context, "dtype": chosen.dtype, "out": out}
    init = chosen.init or then.init
    options |= {"init": init} if init else {}
    options |= {} if chosen.checkpoint_every is None else {"checkpoint_every": chosen.checkpoint_every}
    options |= {"callbacks": trackers(chosen.log, out)} if chosen.log else {}
    model = fit(name, train, progress=not chosen.quiet, **options)
    if parallel.rank():  # one of several processes writes and speaks
        return 0
    if part is not None:
        record(out, **part)
    print(_said(model))
    print(one_line(f"the run is in {out}"))
    return 0


def trackers(names: Sequence[str], out: str) -> list[Any]:
    """The callbacks that write to TensorBoard or W&B, in the run folder.

    Raises:
        ValueError: another name.
        ImportError: without its package.
    """
    from fairway.training.callbacks import TensorBoard, WandB

    known = {"tensorboard": lambda: TensorBoard(Path(out) / "tensorboard"), "wandb": lambda: WandB("fairway")}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"expected --log with {' or '.join(known)}, got {unknown[0]!r}")
    return [known[name]() for name in dict.fromkeys(names)]


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
