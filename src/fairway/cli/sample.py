"""`fairway sample RUN --n 64 --seed 0 --out samples.png`: draw from a trained model.

With `--sampler NAME` another sampler draws, and `--sampler.OPTION` sets it up.
"""

import os
from collections.abc import Mapping
from typing import Any

from fairway.cli.options import add_options, value_of, without
from fairway.cli.parsing import parse, parser_of, plain
from fairway.cli.reading import Reader
from fairway.core.config import lookup, signature


def run(arguments: list[str]) -> int:
    """Draw and write; prints the shape and where the rows are."""
    named = value_of(arguments, "sampler")
    parser = parser_of("sample", __doc__ or "")
    parser.add_argument("run", help="a run folder")
    parser.add_argument("--n", type=Reader(int), default=64, help="how many")
    parser.add_argument("--seed", type=Reader(int), default=0, help="of the draw")
    parser.add_argument("--out", default="samples.npy", help=".npy, .npz, .csv or .png")
    parser.add_argument("--context", help="for a conditional model: a class label, or numbers with commas between")
    parser.add_argument("--batch_size", type=Reader(int | None), help="rows at a time; changes no sample")
    cls = None if named is None else lookup("sampler", named)
    options = [] if cls is None else add_options(parser, f"sampler {named}", cls, prefix="sampler.")
    chosen = parse(parser, without(arguments, "sampler"), ["--sampler"])
    settings = {name.partition(".")[2]: value for name, value in plain(chosen, options).items()}
    return _draw(chosen, None if cls is None else _build(str(named), cls, settings))


def _build(named: str, cls: Any, settings: Mapping[str, Any]) -> Any:
    """The sampler, or why no command line can build it."""
    needed = [
        name
        for name, parameter in signature(cls).items()
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    if needed:
        raise ValueError(f"the sampler {named} is built from parts ({', '.join(needed)}), which only Python can give")
    return cls(**settings)


def _draw(chosen: Any, sampler: Any) -> int:
    from fairway.cli.context import one_context
    from fairway.cli.saving import check_path, save_rows
    from fairway.training.run_folder import load

    check_path(chosen.out)
    model = load(chosen.run)
    _check_count(chosen.n, model.event.dims)
    context, size = one_context(model, chosen.context), chosen.batch_size
    draws = model.draw(chosen.n, context=context, sampler=sampler, generator=chosen.seed, batch_size=size)
    path = save_rows(chosen.out, draws.samples.cpu(), model.event)
    print(f"{_said(draws)}: {path}")
    return 0


def _check_count(n: int, dims: int) -> None:
    """Refuse more rows than the machine's memory holds, as single-precision numbers."""
    most = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // (4 * dims) if hasattr(os, "sysconf") else n
    if n > most:
        raise ValueError(f"expected --n of at most {most}, which this machine's memory holds, got {n}")


def _said(draws: Any) -> str:
    """Shape, type and cost, and what a chain says of itself."""
    kind = str(draws.samples.dtype).removeprefix("torch.")
    cost = f"{draws.evaluations:g} stroke{'' if draws.evaluations == 1 else 's'} each"
    cost += "" if draws.most_evaluations is None else f" on average, {draws.most_evaluations:g} at most"
    accepted = "" if draws.acceptance is None else f", acceptance {draws.acceptance:.2f}"
    return f"{tuple(draws.samples.shape)} {kind}, {cost}{accepted}"
