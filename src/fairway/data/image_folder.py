"""A folder of images as one tensor (n, c, h, w) of bytes.

Images are taken in the order of their paths, at any depth. Palettes become colours (RGB, or RGBA where the palette
has transparency), black-and-white bits become 0 and 255, an animation gives its first frame; all other 8-bit modes
keep their channels as they are. All images must agree in size and mode: resizing is a choice that changes every
number, so it is left to the user. Where every image lies in a subfolder, the first-level subfolder is its label.
"""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fairway.data.optional import need

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff")
BYTE_MODES = ("L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV")


Look = tuple[tuple[int, ...], str]  # (channels, height, width) and mode


def read_image_folder(folder: Path) -> tuple[Tensor, Tensor | None, tuple[str, ...] | None]:
    """Read every image below a folder.

    Returns:
        The images (n, c, h, w) uint8; the labels (n,) int64 and the subfolders' names, or None and None.

    Raises:
        ValueError: no images, a damaged one, one that differs in size or mode, 16-bit or float pixels.
        ImportError: Pillow is not installed.
    """
    paths = image_paths(folder)
    return read_images(paths, look_of(paths[0]), paths[0]), *labels_of(paths, folder)


def image_paths(folder: Path) -> list[Path]:
    """The images below a folder, in the order of their paths; hidden ones are left out.

    Raises:
        ValueError: there are none.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES and path.is_file()]
    paths = [path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    if not paths:
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:5]) or "nothing"
        hint = "stream them (stream=True)" if next(folder.rglob("*.parquet"), None) else "give the path of a file"
        raise ValueError(f"expected images ({', '.join(SUFFIXES)}) in {folder}, got {found}; {hint}")
    return paths


def look_of(path: Path) -> Look:
    """Size and mode of an image.

    Raises:
        ValueError: it is damaged, or has other than 8-bit pixels.
        ImportError: Pillow is not installed.
    """
    image, mode = _read_image(path, need("PIL.Image", f"the image {path}"))
    return image.shape, mode


def read_images(paths: Sequence[Path], look: Look, like: Path) -> Tensor:
    """Images (n, c, h, w) uint8 of one look, which is that of the image `like`.

    Raises:
        ValueError: a damaged image, or one of another size or mode; names the file.
    """
    pillow = need("PIL.Image", "images")
    images = torch.empty((len(paths), *look[0]), dtype=torch.uint8)
    for i, path in enumerate(paths):
        image, mode = _read_image(path, pillow)
        if (image.shape, mode) != look:
            expected, got = _say(*look), _say(image.shape, mode)
            raise ValueError(f"expected {expected} as in {like}, got {got} in {path}; resize or convert it")
        images[i] = torch.from_numpy(image)
    return images


def _read_image(path: Path, pillow: Any) -> tuple[np.ndarray, str]:
    """Bytes (c, h, w) and mode of one file."""
    try:
        with pillow.open(path) as image:
            if image.mode == "P":
                image = image.convert("RGBA" if "transparency" in image.info else "RGB")
            elif image.mode == "1":
                image = image.convert("L")
            mode = image.mode
            array = np.array(image)
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, pillow.DecompressionBombError) as error:
        raise ValueError(f"expected an image in {path}, got a damaged file ({error}); copy it again") from error
    if mode not in BYTE_MODES:
        raise ValueError(f"expected 8-bit pixels in {path}, got mode {mode!r}; convert it, or save the array as .npy")
    return (array[None] if array.ndim == 2 else array.transpose(2, 0, 1)), mode


def _say(shape: tuple[int, ...], mode: str) -> str:
    return f"{shape[2]} x {shape[1]} pixels, mode {mode},"


def labels_of(paths: Sequence[Path], folder: Path) -> tuple[Tensor | None, tuple[str, ...] | None]:
    """First-level subfolders as classes, if every image lies in one."""
    parts = [path.relative_to(folder).parts for path in paths]
    if any(len(part) < 2 for part in parts):
        return None, None
    names = sorted({part[0] for part in parts})
    return torch.tensor([names.index(part[0]) for part in parts]), tuple(names)
