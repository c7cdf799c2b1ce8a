"""`fairway cite MODEL`: the papers behind a model, as BibTeX."""

import argparse


def run(arguments: list[str]) -> int:
    """Print the entries."""
    parser = argparse.ArgumentParser("fairway cite", description=__doc__)
    parser.add_argument("model", help="a model's name (fairway list)")
    chosen = parser.parse_args(arguments)
    from fairway.report.cite import cite

    print(cite(chosen.model), end="")
    return 0
