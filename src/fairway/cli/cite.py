"""`fairway cite MODEL`: the papers behind a model, as BibTeX."""

from fairway.cli.parsing import LightParser, parse


def run(arguments: list[str]) -> int:
    """Print the entries."""
    parser = LightParser("fairway cite", description=__doc__)
    parser.add_argument("model", help="a model's name (fairway list)")
    chosen = parse(parser, arguments)
    from fairway.report.cite import cite

    print(cite(chosen.model), end="")
    return 0
