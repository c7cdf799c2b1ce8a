"""Small sets of pictures by name: digits from envelopes, sprites of a game, house fronts with maps of their parts.

Files, one each, in `folder=` or `$FAIRWAY_DATA` or their subfolder of the same name; SHA-256 digests are checked:

    usps.npz            (7291, 16, 16) and (2007, 16, 16), levels 0..2000; no explicit licence, research use by custom
    crawl_tiles32.npz   (4147, 32, 32, 4), RGBA with names; CC0 1.0
    facades128.npz      400, 100 and 106 of (128, 128, 3), maps (128, 128); CC BY-SA 4.0 from memory, check before use

All come out as bytes 0..255, colours as (n, 3, H, W). What is made of a pixel here is a function of the file alone, on
any machine: where a rounding could fall to either side, whole numbers or float64 decide. Other sides are other data:

    usps     u_s = round(255 / 2000 * (bilinear, antialiased u))         `usps` at 28 beside `mnist`: two samples
    facades  mean of k x k pixels; the class that most of the k x k have, the smallest of those that tie

MNIST's digits keep a margin of four pixels, these fill their square: at 20 pixels, padded by four, they agree best.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from fairway.core.event import Event
from fairway.data.dataset import Dataset
from fairway.data.files import read_file
from fairway.data.images import DIGITS
from fairway.data.locate import Folder, locate

DIGESTS: dict[str, dict[str, str]] = {
    "usps": {"usps.npz": "5108f8628c62e09e61531af65119825966c9413c0e076b67347b4a8054ab8023"},
    "crawl_tiles": {"crawl_tiles32.npz": "68f8e84f7d318c498f3b2705fc1545aa52bfb032d022cec6299433908152fa73"},
    "facades": {"facades128.npz": "8cc08e70adce0b01f6adaf0c89a5e2e15852cdd8fd0eca5e7edab540dbda873d"},
}
ORIGINS = {
    "usps": "https://github.com/niuers/Learning-From-Data-A-Short-Course (data/usps.h5, packed as train, test and "
    "their labels, times 2000)",
    "crawl_tiles": "https://github.com/crawl/tiles (releases/Nov-2015, the tiles of 32 x 32, packed as rgba and name)",
    "facades": "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/facades.tar.gz (halved to 128 x 128, packed as "
    "photo and label of train, val and test)",
}
USPS_LEVELS = 2000
USPS_SIDES = range(4, 65)
FACADE_SIDES = (128, 64, 32, 16)
PARTS = (
    *("background", "facade", "window", "door", "cornice", "sill"),
    *("balcony", "blind", "deco", "molding", "pillar", "shop"),
)


# -- the datasets -----------------------------------------------------------------------------------------------
def usps(folder: Folder = None, side: int = 16) -> Dataset:
    """Digits of handwritten postcodes: (7291, 16, 16) uint8 with the official test split of 2,007, 10 classes.

    Args:
        folder: where the file lies; default $FAIRWAY_DATA.
        side: pixels of a side, 4 to 64; 28 are those of `mnist`.

    References:
        Le Cun et al. (1989), Backpropagation applied to handwritten zip code recognition.

    Raises:
        FileNotFoundError: the file is absent; says where it is looked for.
        ValueError: a file with another digest, or a side that is not offered.
    """
    if side not in USPS_SIDES:
        raise ValueError(f"expected side in {USPS_SIDES.start}..{USPS_SIDES.stop - 1} for usps, got {side!r}")
    path = _find("usps", folder)
    protocol = "grey levels 0..255" + ("" if side == 16 else f", resized to {side} x {side}")

    def part(key: str) -> Dataset:
        x, labels = (read_file(f"{path}:{key}{of}")[0] for of in ("", "_label"))
        return _dataset("usps", to_bytes(x, side), labels, DIGITS, protocol)

    return replace(part("train"), test=part("test"))


def crawl_tiles(folder: Folder = None) -> Dataset:
    """Sprites of Dungeon Crawl Stone Soup on black: (4147, 3, 32, 32) uint8, 8 kinds; no official split.

    Args:
        folder: where the file lies; default $FAIRWAY_DATA.

    References:
        The Crawl tiles, artists and maintainers (2015), github.com/crawl/tiles.

    Raises:
        FileNotFoundError, ValueError: as `usps`.
    """
    path = _find("crawl_tiles", folder)
    with np.load(path, allow_pickle=False) as archive:
        kinds, labels = np.unique([name.partition("/")[0] for name in archive["name"].tolist()], return_inverse=True)
    x = over_black(read_file(f"{path}:rgba")[0])
    return _dataset("crawl_tiles", x, torch.from_numpy(labels), tuple(kinds.tolist()), "levels 0..255 on black")


def facades(folder: Folder = None, side: int = 128) -> Dataset:
    """House fronts: (400, 3, side, side) uint8, with maps of their parts as labels (400, side, side), 12 classes.

    The official validation and test splits have 100 and 106. `fit("pix2pix", "facades", context="labels")` makes
    photographs of maps.

    Args:
        folder: where the file lies; default $FAIRWAY_DATA.
        side: pixels of a side: 128, 64, 32 or 16.

    References:
        Tylecek and Sara (2013), Spatial pattern templates for recognition of objects with regular structure.
        Isola, Zhu, Zhou and Efros (2017), arXiv:1611.07004, for the splits.

    Raises:
        FileNotFoundError, ValueError: as `usps`.
    """
    if side not in FACADE_SIDES:
        raise ValueError(f"expected side among {', '.join(map(str, FACADE_SIDES))} for facades, got {side!r}")
    path, times = _find("facades", folder), 128 // side
    protocol = "levels 0..255" + ("" if times == 1 else f", means of {times} x {times}")

    def part(key: str) -> Dataset:
        photos, maps = (read_file(f"{path}:{key}_{of}")[0] for of in ("photo", "label"))
        x = block_mean(photos.permute(0, 3, 1, 2), times)
        return _dataset("facades", x, block_majority(maps, times, len(PARTS)), PARTS, protocol)

    return replace(part("train"), validation=part("val"), test=part("test"))


# -- what is made of pixels -------------------------------------------------------------------------------------
def to_bytes(x: Tensor, side: int) -> Tensor:
    """(n, h, w) levels 0..2000 -> (n, side, side) grey levels 0..255.

    >>> to_bytes(torch.tensor([[[0, 2000], [1000, 4]]]), side=2).tolist()
    [[[0, 255], [128, 1]]]
    """
    grey = x.double() * 255 / USPS_LEVELS
    if x.shape[1:] != (side, side):
        grey = interpolate(grey[:, None], (side, side), mode="bilinear", antialias=True)[:, 0]
    # exact halves must not hang on the last bit, which is the processor's: first to a millionth
    return grey.round(decimals=6).round().clamp(0, 255).to(torch.uint8)


def over_black(rgba: Tensor) -> Tensor:
    """(n, h, w, 4) bytes -> (n, 3, h, w): colour times opacity, rounded.

    >>> over_black(torch.tensor([[[[200, 100, 3, 128]]]], dtype=torch.uint8)).flatten().tolist()
    [100, 50, 2]
    """
    colour, opacity = rgba[..., :3].int(), rgba[..., 3:].int()
    return ((colour * opacity + 127) // 255).to(torch.uint8).permute(0, 3, 1, 2).contiguous()


def block_mean(x: Tensor, times: int) -> Tensor:
    """Means of `times` x `times` pixels of bytes (..., h, w), halves rounded up: (..., h / times, w / times).

    >>> block_mean(torch.tensor([[[0, 1], [1, 0]]], dtype=torch.uint8), 2).tolist()
    [[[1]]]
    """
    return ((block_sum(x, times) + times**2 // 2) // times**2).to(torch.uint8).contiguous()


def block_majority(maps: Tensor, times: int, classes: int) -> Tensor:
    """The commonest class of `times` x `times` pixels of maps (n, h, w), the smallest where some tie: int64.

    >>> block_majority(torch.tensor([[[0, 2], [2, 1]]]), 2, classes=3).tolist()
    [[[2]]]
    """
    if times == 1:
        return maps.long()
    return torch.stack([block_sum(maps == c, times) for c in range(classes)]).argmax(0)


def block_sum(x: Tensor, times: int) -> Tensor:
    """Sums of `times` x `times` pixels: int32, (..., h / times, w / times)."""
    total = torch.zeros_like(x[..., ::times, ::times], dtype=torch.int32)
    for i in range(times):
        for j in range(times):
            total += x[..., i::times, j::times]
    return total


# -- how they are built -----------------------------------------------------------------------------------------
def _find(name: str, folder: Folder) -> Path:
    return locate(name, DIGESTS[name], ORIGINS[name], folder, name)[0]


def _dataset(name: str, x: Tensor, labels: Tensor, names: tuple[str, ...], protocol: str) -> Dataset:
    event = Event(tuple(x.shape[1:]), "integer", low=0, high=255)
    return Dataset(x, event, labels=labels.long(), label_names=names, name=name, source=name, protocol=protocol)
