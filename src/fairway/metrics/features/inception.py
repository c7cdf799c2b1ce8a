"""Inception features, from a weights file that you bring.

    images (n, 1 | 3, H, W)  ->  uint8, three channels  ->  bilinear to 299 x 299  ->  InceptionV3, layer of F = 2048

The numbers known as FID and KID are `frechet` and `kernel_distance` in these features; they compare with published
ones only with the same weights (the port of the 2015 TensorFlow network), the same resize, n and split. The network is
torchmetrics' wrapper around torch-fidelity's port; nothing is downloaded here. It was trained on photographs, and says
little about digits or tables: `trained_on` makes features of your own data.
"""

import importlib
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fairway.metrics.features.extractor import ModuleFeatures

FILE = "pt_inception-2015-12-05-6726825d.pth"
VARIABLE = "FAIRWAY_INCEPTION"
LAYERS = (64, 192, 768, 2048)


def inception(path: Any = None, *, layer: int = 2048, low: float = 0.0, high: float = 255.0) -> ModuleFeatures:
    """The extractor behind FID and KID.

    Args:
        path: the weights file; default $FAIRWAY_INCEPTION.
        layer: number of features: 64, 192, 768 or 2048 (the usual one).
        low, high: black and white of the rows to come (0 and 255 for bytes; -1 and 1, 0 and 1 are common too).

    Raises:
        ImportError: torchmetrics or torch-fidelity is missing; says what to install.
        FileNotFoundError: no weights file; says where to get and where to put it.
        ValueError: another layer, or black at or above white.
    """
    if layer not in LAYERS or not low < high:
        raise ValueError(f"expected a layer of {LAYERS} and low < high, got layer {layer}, low {low}, high {high}")
    network = _network()
    file = _weights(path)
    module = network(
        name="inception-v3-compat", features_list=[str(layer)], feature_extractor_weights_path=str(file)
    ).requires_grad_(False)
    return ModuleFeatures(
        module, f"inception-v3-compat {layer}", prepare=lambda x: to_bytes(x, low, high), resize="bilinear 299x299"
    )


def to_bytes(x: Tensor, low: float, high: float) -> Tensor:
    """Images (n, H, W) or (n, C, H, W) with values in [low, high] as uint8 (n, 3, H, W).

    >>> to_bytes(torch.tensor([[[-1.0, 1.0]]]), -1, 1).tolist()
    [[[[0, 255]], [[0, 255]], [[0, 255]]]]

    Raises:
        ValueError: another shape.
    """
    images = x.unsqueeze(1) if x.ndim == 3 else x
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"expected images (n, H, W) or (n, 1 or 3, H, W), got {tuple(x.shape)}")
    levels = ((images.float() - low) / (high - low) * 255).round().clamp(0, 255)
    return levels.to(torch.uint8).expand(-1, 3, -1, -1).contiguous()


def _network() -> Any:
    try:
        importlib.import_module("torch_fidelity")
        return importlib.import_module("torchmetrics.image.fid").NoTrainInceptionV3
    except ImportError as error:
        raise ImportError(
            "expected torchmetrics and torch-fidelity for Inception features, got neither or one of them; "
            "pip install torchmetrics torch-fidelity, or use fairway.metrics.features.trained_on"
        ) from error


def _weights(path: Any) -> Path:
    file = Path(path or os.environ.get(VARIABLE) or FILE).expanduser()
    if not file.is_file():
        raise FileNotFoundError(
            f"expected Inception weights at {file}, found no file; get {FILE} from the releases of "
            f"github.com/toshas/torch-fidelity and say where it is: inception(path) or ${VARIABLE}"
        )
    return file
