"""Words for a terminal: one line, of a length that can be read, without control codes.

What a message repeats (a file's entries, names of tensors, a user's own words) may hold anything; a terminal would
obey escape codes in it, and a name of a megabyte would bury what was meant.

>>> print(one_line("expected a name, got \\x1b[31mred\\n  and more"))
expected a name, got \\x1b[31mred and more
"""

LONGEST = 600  # characters of a message


def one_line(text: str, longest: int = LONGEST) -> str:
    """The text on one line; what cannot be printed is written as an escape, the middle of a long text left out.

    Args:
        text: anything.
        longest: characters that are kept, about.
    """
    if len(text) > 4 * longest:  # megabytes need not be looked through
        text = _shortened(text, 4 * longest)
    return _shortened("".join(map(_printed, " ".join(text.split()))), longest)


def _shortened(text: str, longest: int) -> str:
    """The beginning and, since a message's advice stands last, the end."""
    return text if len(text) <= longest else f"{text[: 2 * longest // 3]} ... {text[-longest // 3 :]}"


def _printed(character: str) -> str:
    """The character, or its escape where a terminal would obey it or cannot show it."""
    return character if character.isprintable() else character.encode("unicode_escape", "replace").decode()
