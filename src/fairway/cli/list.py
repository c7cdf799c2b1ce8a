"""`fairway list [--capability ASKS]`: every model, its family and what it is."""

import argparse
from textwrap import shorten

from fairway.cli.summaries import family, summary
from fairway.models.registry import models


def run(arguments: list[str]) -> int:
    """Print the table; only `--capability` imports the models."""
    parser = argparse.ArgumentParser("fairway list", description=__doc__)
    parser.add_argument("--capability", help="only models that can be asked this (log_prob, encode, marginal, ...)")
    chosen = parser.parse_args(arguments)
    names = list(models) if chosen.capability is None else answering(chosen.capability)
    rows = sorted((family(name), name, summary(name)) for name in names)
    for kin, name, text in rows:
        print(f"{name:<16} {kin:<15} {shorten(text, 86, placeholder=' ...')}")
    return 0


def answering(asks: str) -> list[str]:
    """Models that have a capability on at least one of their tiny cases.

    Raises:
        ValueError: no such capability.
    """
    from fairway.core.capability import CAPABILITIES
    from fairway.core.registry import did_you_mean

    known = {capability.asks: capability for capability in CAPABILITIES}
    if asks not in known:
        raise ValueError(f"no capability {asks!r}{did_you_mean(asks, list(known))}")
    return [name for name in models if issubclass(models[name], known[asks])]
