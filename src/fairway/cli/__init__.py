"""The command line: `fairway COMMAND`. Importing this package costs nothing; a command loads what it needs."""


def main() -> int:
    """Entry point of the `fairway` script; returns the exit code."""
    from fairway.cli.entry import run

    return run()
