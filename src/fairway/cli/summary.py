"""`fairway summary RUN`: what a trained model is made of, what it answers, what it costs."""

from fairway.cli.parsing import LightParser, parse


def run(arguments: list[str]) -> int:
    """Print the table."""
    parser = LightParser("fairway summary", description=__doc__)
    parser.add_argument("run", help="a run folder")
    chosen = parse(parser, arguments)
    from fairway.training.run_folder import load

    print(load(chosen.run).summary())
    return 0
