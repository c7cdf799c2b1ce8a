"""Images by name: `digits` from scikit-learn; `mnist`, `fashion_mnist`, `binarized_mnist` from files on disk.

The files are the publishers' own, under their usual names, in `folder=` or `$FAIRWAY_DATA`, either directly there or
in a subfolder named as the dataset. Their SHA-256 digests are checked, so that a number refers to known bytes.

MNIST has three protocols whose likelihoods differ by tens of nats and are never comparable:

- grey levels 0..255, as published;
- static binarisation: the one Bernoulli(pixel / 255) draw of Larochelle and Murray (2011) that the literature uses,
  here `binarized_mnist` with its own three splits;
- fixed binarisation: such a draw made here from a seed, once, by `load("mnist", protocol="fixed")`.
"""

import gzip
import math
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fairway.core.event import Event
from fairway.data.dataset import Dataset
from fairway.data.files import read_file
from fairway.data.locate import Folder, locate
from fairway.data.optional import need

IDX = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
DIGESTS: dict[str, dict[str, str]] = {
    "mnist": {
        IDX[0]: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        IDX[1]: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        IDX[2]: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        IDX[3]: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
    "fashion_mnist": {
        IDX[0]: "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        IDX[1]: "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        IDX[2]: "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        IDX[3]: "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
    "binarized_mnist": {
        "binarized_mnist.npz": "a4adf17530a14d2681b011ea0fd3956e249e42bdef5cbe050e337192a0fc544b",
    },
}
ORIGINS = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "fashion_mnist": "https://github.com/zalandoresearch/fashion-mnist (data/fashion)",
    "binarized_mnist": "the .amat files of Larochelle and Murray, packed by numpy.packbits as train, valid and test",
}
DIGITS = tuple("0123456789")
GARMENTS = tuple(
    ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
)
FIXED_SEED = 0


# -- the datasets -----------------------------------------------------------------------------------------------
def digits() -> Dataset:
    """Handwritten digits inside scikit-learn: (1797, 8, 8) uint8, grey levels 0..16, 10 classes.

    References:
        Alpaydin and Kaynak (1998), optical recognition of handwritten digits (the test part), UCI repository.

    Raises:
        ImportError: scikit-learn is not installed.

    >>> digits().event.levels
    17
    """
    bunch = need("sklearn.datasets", "the dataset digits").load_digits()
    x = torch.tensor(bunch.images.astype(np.uint8))
    labels = torch.tensor(bunch.target, dtype=torch.int64)
    event = Event((8, 8), "integer", low=0, high=16)
    return Dataset(x, event, labels=labels, label_names=DIGITS, name="digits", source="digits")


def mnist(folder: Folder = None, protocol: str = "grey") -> Dataset:
    """Handwritten digits: (60000, 28, 28) uint8 with the official test split of 10,000, 10 classes.

    Args:
        folder: where the files lie; default $FAIRWAY_DATA.
        protocol: "grey" (levels 0..255) or "fixed" (binarised once from a fixed seed).

    References:
        LeCun, Bottou, Bengio and Haffner (1998), Gradient-based learning applied to document recognition.

    Raises:
        FileNotFoundError: files are absent; says which, where they are looked for and where to get them.
        ValueError: a file with another digest, or a protocol that is not offered.
    """
    return _idx_dataset("mnist", folder, protocol, DIGITS)


def fashion_mnist(folder: Folder = None, protocol: str = "grey") -> Dataset:
    """Garments in the format of MNIST: (60000, 28, 28) uint8 with the official test split of 10,000, 10 classes.

    Args:
        folder: where the files lie; default $FAIRWAY_DATA.
        protocol: "grey" (levels 0..255) or "fixed" (binarised once from a fixed seed).

    References:
        Xiao, Rasul and Vollgraf (2017), arXiv:1708.07747.

    Raises:
        FileNotFoundError, ValueError: as `mnist`.
    """
    return _idx_dataset("fashion_mnist", folder, protocol, GARMENTS)


def binarized_mnist(folder: Folder = None) -> Dataset:
    """Statically binarised MNIST: (50000, 28, 28) bits as uint8, official validation and test splits of 10,000.

    The labels of the train and validation parts were inferred from the grey originals.

    References:
        Larochelle and Murray (2011), The neural autoregressive distribution estimator.

    Raises:
        FileNotFoundError, ValueError: as `mnist`.
    """
    path = find_files("binarized_mnist", folder)[0]
    parts = {"train": "train_label_inferred", "valid": "valid_label_inferred", "test": "test_label"}
    train, valid, test = (_packed(path, part, labels) for part, labels in parts.items())
    return replace(train, validation=valid, test=test)


# -- how they are built -----------------------------------------------------------------------------------------
def _idx_dataset(name: str, folder: Folder, protocol: str, label_names: tuple[str, ...]) -> Dataset:
    """Train and test part from the four idx files."""
    _check_protocol(name, protocol)
    images, labels, test_images, test_labels = (read_idx(path) for path in find_files(name, folder))
    event = Event((28, 28), "integer", low=0, high=255)
    train, test = (
        Dataset(x, event, labels=y.long(), label_names=label_names, name=name, source=name)
        for x, y in ((images, labels), (test_images, test_labels))
    )
    if protocol == "fixed":
        generator = torch.Generator().manual_seed(FIXED_SEED)
        train, test = (_binarised(part, generator) for part in (train, test))
    return replace(train, test=test)


def _check_protocol(name: str, protocol: str) -> None:
    if protocol in ("grey", "fixed"):
        return
    hints = {
        "dynamic": "drawing new bits in each epoch belongs to training and is not supported yet",
        "static": "that draw is a dataset of its own: binarized_mnist",
    }
    hint = hints.get(protocol, "choose one of these")
    raise ValueError(f"expected the protocol 'grey' or 'fixed' for {name}, got {protocol!r}; {hint}")


def _binarised(data: Dataset, generator: torch.Generator) -> Dataset:
    """One Bernoulli(pixel / 255) draw of each pixel, in chunks of 10,000 images to spare memory."""
    chunks = [torch.bernoulli(x / 255, generator=generator).to(torch.uint8) for x in data.x.split(10_000)]
    protocol = f"fixed binarisation (seed {FIXED_SEED})"
    return replace(data, x=torch.cat(chunks), event=Event((28, 28), "binary"), protocol=protocol)


def _packed(path: Path, part: str, label_part: str) -> Dataset:
    """One split of the archive: rows of 98 bytes are 784 bits, row-major."""
    packed, labels = (read_file(f"{path}:{key}")[0] for key in (part, label_part))
    x = torch.from_numpy(np.unpackbits(packed.numpy(), axis=1)).reshape(-1, 28, 28)
    name = "binarized_mnist"
    data = Dataset(x, Event((28, 28), "binary"), labels=labels.long(), label_names=DIGITS, name=name, source=name)
    return replace(data, protocol="static binarisation")


# -- files ------------------------------------------------------------------------------------------------------
def find_files(name: str, folder: Folder = None) -> list[Path]:
    """The files of a dataset, found and checked against their digests.

    Args:
        name: a key of `DIGESTS`.
        folder: where to look, directly and in the subfolder `name`; default $FAIRWAY_DATA.

    Raises:
        FileNotFoundError: a file is absent.
        ValueError: a file has another SHA-256 digest.
    """
    return locate(name, DIGESTS[name], ORIGINS[name], folder, name)


def read_idx(path: Path) -> Tensor:
    """An array of bytes from a gzipped idx file: two zeros, the type 8, the number of axes, their lengths, the bytes.

    Returns:
        uint8, in the file's shape.

    Raises:
        ValueError: not gzip, truncated, or not an idx file of bytes.
    """
    try:
        raw = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"expected a gzipped idx file, got a damaged {path} ({error}); download it again") from error
    axes = raw[3] if len(raw) > 3 else 0
    start = 4 + 4 * axes
    shape = [int.from_bytes(raw[i : i + 4], "big") for i in range(4, start, 4)]
    if raw[:3] != b"\x00\x00\x08" or not axes or len(raw) != start + math.prod(shape):
        raise ValueError(f"expected an idx file of bytes in {path}, got another header or length; download it again")
    return torch.from_numpy(np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape).copy())
