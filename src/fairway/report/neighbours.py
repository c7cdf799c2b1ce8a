"""Samples beside their nearest training rows, as a picture: one line per sample, its distances below the neighbours.

    sample   nearest   second   ...
              0.31      0.78

A model that replays its training rows shows an image twice, with a first distance near 0. The figures are set in a font
of 3 x 5 dots, so that the picture needs no plotting library.
"""

import numpy as np
from numpy.typing import NDArray

from fairway.metrics.memorisation import Neighbours
from fairway.report.pictures import GAP, REAL, Pixels, grid, png

LIMIT = 200_000  # bytes of a file
DOT = 2  # pixels of a dot
GLYPHS = {  # five lines of three dots, a line an octal digit
    "0": "75557", "1": "26227", "2": "71747", "3": "71717", "4": "55711", "5": "74717", "6": "74757", "7": "71122",
    "8": "75757", "9": "75717", ".": "00002", "e": "25743", "+": "02720", "-": "00700",
}  # fmt: skip


def neighbour_picture(found: Neighbours, low: float, high: float, *, lines: int = 8) -> bytes:
    """A PNG file of at most 200 kB: up to `lines` samples (h, w) or (c, h, w), each beside its neighbours.

    Args:
        found: of `fairway.metrics.memorisation.nearest_rows`; `found.most_copied(8)` for the worst cases.
        low, high: black and white.

    Raises:
        ValueError: rows that are not images, or images so large and rich that a single line exceeds 200 kB.

    >>> import torch
    >>> from fairway.metrics.memorisation import nearest_rows
    >>> x = torch.rand(9, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> neighbour_picture(nearest_rows(x[:2], x[2:], k=3), 0, 1)[1:4]
    b'PNG'
    """
    images = found.grid().double().numpy()
    if images.ndim not in (4, 5):
        raise ValueError(f"expected rows of shape (h, w) or (c, h, w), got {images.shape[2:]}; draw these as points")
    for count in range(min(lines, len(images)), 0, -1):
        pairs = zip(images[:count], found.distances[:count].tolist(), strict=True)
        file = png(np.concatenate([_line(row, apart, low, high) for row, apart in pairs]))
        if len(file) <= LIMIT:
            return file
    raise ValueError(f"expected images that fit into {LIMIT} bytes, got {images.shape[2:]}; take fewer neighbours")


def _line(images: NDArray[np.float64], apart: list[float], low: float, high: float) -> Pixels:
    """One sample and its neighbours, captions below."""
    drawn = grid(images, low, high, columns=len(images), rows=1)
    strip = np.broadcast_to(GAP, (7 * DOT, drawn.shape[1], 3)).round().astype(np.uint8)
    width = drawn.shape[1] / len(images)
    for column, distance in enumerate(apart, start=1):
        letters = text(f"{distance:.4g}")
        left = max(0, round((column + 0.5) * width - letters.shape[1] / 2))
        room = strip[: letters.shape[0], left : left + letters.shape[1]]
        room[letters[:, : room.shape[1]]] = (1.6 * REAL).round()
    return np.concatenate([drawn, strip])


def text(figures: str) -> NDArray[np.bool_]:
    """A number as dots (height, width); what has no glyph ("inf") is left blank.

    >>> print("\\n".join("".join(".#"[int(dot)] for dot in line) for line in text("1.")[::2, ::2]))
    .#......
    ##......
    .#......
    .#......
    ###..#..
    """
    lines = [[f"{int(digit):03b}0" for digit in GLYPHS.get(figure, "00000")] for figure in figures]
    dots = np.array([[dot == "1" for glyph in lines for dot in glyph[line]] for line in range(5)])
    return dots.repeat(DOT, 0).repeat(DOT, 1)
