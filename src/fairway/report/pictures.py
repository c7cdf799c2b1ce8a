"""Samples as pictures, with numpy and zlib alone (no plotting library in the core).

    images (h, w), (c, h, w)      an 8 x 8 grid, grey or RGB, enlarged without smoothing
    rows (d,), d = 2              points on the range of the real data, which lie below in grey
    rows (d,), other d            the first four columns against one another: histograms on the diagonal, points off it

All pictures share one dark canvas, so that they read on a light and on a dark page.
"""

import base64
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairway.core.event import Event

Pixels = NDArray[np.uint8]
SIDE = 480  # pixels, about
COLOURS = ((16, 24, 26), (122, 134, 138), (110, 222, 160), (44, 58, 54))
CANVAS, REAL, DRAWN, GAP = (np.array(colour, dtype=float) for colour in COLOURS)
COLUMNS = 4  # columns of a table that are shown


def picture(samples: Any, event: Event, real: Any) -> Pixels:
    """A picture (height, width, 3) of samples (n, *E), on the range of real rows (m, *E)."""
    drawn, reference = (np.asarray(rows, dtype=float) for rows in (samples, real))
    if event.image and min(drawn.shape[-2:]) > 1:
        return grid(drawn, *_range(event, reference))
    flat, under = drawn.reshape(len(drawn), -1), reference.reshape(len(reference), -1)
    return scatter(flat, under, SIDE) if flat.shape[1] == 2 else pairs(flat, under)


def _range(event: Event, real: NDArray[Any]) -> tuple[float, float]:
    """Black and white of an image."""
    if event.low is not None and event.high is not None:
        return float(event.low), float(event.high)
    if event.levels is not None:
        return 0.0, event.levels - 1.0
    low, high = np.nanquantile(real, [0.001, 0.999])
    return float(low), float(high) if high > low else float(low) + 1.0


def grid(images: NDArray[Any], low: float, high: float, columns: int = 8, rows: int = 8) -> Pixels:
    """Up to rows x columns images (n, h, w) or (n, c, h, w) in a grid; three channels are colours."""
    if images.ndim == 3:
        images = images[:, None]
    images = images[:, :3] if images.shape[1] >= 3 else images[:, :1].repeat(3, 1)
    images = np.nan_to_num(images[: rows * columns])
    n, _, h, w = images.shape
    rows = min(rows, -(-n // columns))
    pixels = np.clip((images - low) / (high - low), 0, 1) * 255
    k = max(1, round(SIDE / (columns * (w + 1))))
    gap = max(2, (2 * k) // 3)
    out = np.broadcast_to(GAP, (gap + rows * (h * k + gap), gap + columns * (w * k + gap), 3)).copy()
    for i, image in enumerate(pixels.transpose(0, 2, 3, 1)):
        top, left = gap + (i // columns) * (h * k + gap), gap + (i % columns) * (w * k + gap)
        out[top : top + h * k, left : left + w * k] = image.repeat(k, 0).repeat(k, 1)
    return out.round().astype(np.uint8)


def scatter(drawn: NDArray[Any], real: NDArray[Any], side: int) -> Pixels:
    """Points (n, 2) over real points (m, 2), on the range of the real ones."""
    low, high = _limits(real)
    out = np.broadcast_to(CANVAS, (side, side, 3)).copy()
    for points, colour, strength in ((real, REAL, 0.35), (drawn, DRAWN, 0.5)):
        cover = 1 - (1 - strength) ** _counts(points, low, high, side)
        out += cover[..., None] * (colour - out)
    return out.round().astype(np.uint8)


def _limits(real: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The range of each column with a margin of 8 %."""
    low, high = np.nanquantile(real, [0.002, 0.998], axis=0)
    spread = np.where(high > low, high - low, 1.0)
    return low - 0.08 * spread, high + 0.08 * spread


def _counts(points: NDArray[Any], low: NDArray[Any], high: NDArray[Any], side: int) -> NDArray[Any]:
    """How often each pixel is hit by a point's dot, 3 or 5 pixels wide; outside is left out. Row 0 is the top."""
    inside = np.isfinite(points).all(1)
    at = np.floor((points[inside] - low) / (high - low) * side)
    at = np.clip(at, -4, side + 3).astype(np.int64)  # far outside stays outside; an integer has an end
    counts = np.zeros((side, side))
    reach = 2 if side > SIDE // 2 else 1
    for dx in range(-reach, reach + 1):
        for dy in range(-reach, reach + 1):
            x, y = at[:, 0] + dx, side - 1 - at[:, 1] + dy
            keep = (x >= 0) & (x < side) & (y >= 0) & (y < side) & (abs(dx) + abs(dy) < 4)
            np.add.at(counts, (y[keep], x[keep]), 1.0)
    return counts


def pairs(drawn: NDArray[Any], real: NDArray[Any]) -> Pixels:
    """The first columns of a table against one another."""
    d = min(drawn.shape[1], COLUMNS)
    side = (SIDE - 4 * (d - 1)) // d
    out = np.broadcast_to(GAP, (d * side + 4 * (d - 1), d * side + 4 * (d - 1), 3)).copy()
    for i in range(d):
        for j in range(d):
            panel = (
                histogram(drawn[:, i], real[:, i], side) if i == j else scatter(drawn[:, [j, i]], real[:, [j, i]], side)
            )
            out[i * (side + 4) : i * (side + 4) + side, j * (side + 4) : j * (side + 4) + side] = panel
    return out.round().astype(np.uint8)


def histogram(drawn: NDArray[Any], real: NDArray[Any], side: int, bins: int = 32) -> Pixels:
    """Bars of the samples (n,), with the real data (m,) as a grey outline."""
    low, high = _limits(real[:, None])
    bins = min(bins, side)
    heights = [np.histogram(v[np.isfinite(v)], bins, (low[0], high[0]))[0] / max(len(v), 1) for v in (drawn, real)]
    top = max(float(np.max(heights)), 1e-12) * 1.1
    bar, line = (np.floor(h / top * side).astype(int)[np.arange(side) * bins // side] for h in heights)
    above = side - 1 - np.arange(side)[:, None]
    out = np.broadcast_to(CANVAS, (side, side, 3)).copy()
    out[above < bar[None]] = CANVAS + 0.7 * (DRAWN - CANVAS)
    edge = np.maximum(np.abs(np.diff(line, prepend=line[:1])), 2)
    out[(above <= np.maximum(line, np.roll(line, 1))[None]) & (above > (np.maximum(line, 0) - edge)[None])] = REAL * 1.3
    return np.clip(out, 0, 255).round().astype(np.uint8)


# -- files ------------------------------------------------------------------------------------------------------
def png(pixels: Pixels) -> bytes:
    """A PNG file of pixels (height, width, 3) or (height, width), 8 bits each.

    Raises:
        ValueError: another shape or type.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise ValueError(f"expected bytes (height, width[, 3]), got {pixels.dtype} {pixels.shape}")
    height, width = pixels.shape[:2]
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], 1)  # filter 0 before each
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    body = zlib.compress(lines.tobytes(), 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def data_uri(image: bytes) -> str:
    """A PNG file as an address that a page carries in itself."""
    return "data:image/png;base64," + base64.b64encode(image).decode()
