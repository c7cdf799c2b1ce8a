"""`fairway sample RUN --n 64 --seed 0 --out samples.png`: draw from a trained model.

With `--sampler NAME` another sampler draws, and `--sampler.OPTION` sets it up.
"""

from typing import Any

from fairway.cli.options import add_options, value_of, without
from fairway.cli.parsing import parse, parser_of, plain
from fairway.core.config import lookup


def run(arguments: list[str]) -> int:
    """Draw and write; prints the shape and where the rows are."""
    named = value_of(arguments, "sampler")
    parser, names = parser_of("sample", __doc__ or ""), ["n", "seed", "out", "context", "batch_size", "sampler"]
    parser.add_argument("run", type=str, help="a run folder")
    parser.add_argument("--n", type=int, default=64, help="how many (per context)")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--out", type=str, default="samples.npy", help=".npy, .npz, .csv or .png")
    parser.add_argument("--context", type=str | None, default=None, help="a class label, or numbers with commas")
    parser.add_argument("--batch_size", type=int | None, default=None, help="rows at a time; changes no sample")
    sampler_class = None if named is None else lookup("sampler", named)
    options = [] if sampler_class is None else add_options(parser, f"sampler {named}", sampler_class, prefix="sampler.")
    chosen = parse(parser, without(arguments, "sampler"), [*names, *options])
    settings = {name.partition(".")[2]: value for name, value in plain(chosen, options).items()}
    return _draw(chosen, None if sampler_class is None else sampler_class(**settings))


def _draw(chosen: Any, sampler: Any) -> int:
    from fairway.cli.saving import save_rows
    from fairway.training.run_folder import load

    model = load(chosen.run)
    context, size = _context(model, chosen.context), chosen.batch_size
    draws = model.draw(chosen.n, context=context, sampler=sampler, generator=chosen.seed, batch_size=size)
    path = save_rows(chosen.out, draws.samples.cpu(), model.event)
    shape = tuple(draws.samples.shape)
    print(f"{shape} {str(draws.samples.dtype).removeprefix('torch.')}, {draws.evaluations:g} strokes each: {path}")
    return 0


def _context(model: Any, text: str | None) -> Any:
    """A context from the command line: one label, or the numbers of one context."""
    if text is None or model.context_event is None:
        return None if text is None else _refuse(model)
    import torch

    numbers = [float(part) for part in text.split(",")]
    whole = model.context_event.counted
    value = torch.tensor([int(v) for v in numbers] if whole else numbers)
    return value.reshape(model.context_event.shape)


def _refuse(model: Any) -> Any:
    raise ValueError(f"{model.name()} was trained without a context; leave --context out")
