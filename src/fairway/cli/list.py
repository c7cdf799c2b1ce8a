"""`fairway list [--capability ASKS]`: every model, its family and what it is."""

from textwrap import shorten

from fairway.cli.parsing import LightParser, parse
from fairway.cli.summaries import family, summary
from fairway.models.registry import models


def run(arguments: list[str]) -> int:
    """Print the table; only `--capability` imports the models."""
    parser = LightParser("fairway list", description=__doc__)
    parser.add_argument("--capability", help="only models that can be asked this (log_prob, encode, marginal, ...)")
    chosen = parse(parser, arguments)
    names = list(models) if chosen.capability is None else answering(chosen.capability)
    rows = sorted((family(name), name, summary(name)) for name in names)
    for kin, name, text in rows:
        head = f"{name:<16} {kin:<15} "
        print(head + shorten(text, 119 - len(head), placeholder=" ..."))
    return 0


def answering(asks: str) -> list[str]:
    """Models whose class has a capability; what an instance answers may depend on its data.

    Raises:
        ValueError: no such capability.
    """
    from fairway.core.capability import CAPABILITIES
    from fairway.core.registry import did_you_mean

    known = {capability.asks: capability for capability in CAPABILITIES}
    asks = asks.replace("-", "_")
    if asks not in known:
        raise ValueError(f"no capability {asks!r}{did_you_mean(asks, list(known))}")
    return [name for name in models if issubclass(models[name], known[asks])]
