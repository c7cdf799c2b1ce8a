"""Images judged by a small classifier: the distance of its features to test images', and what it sees in them."""

from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from _rows import Row
from torch import Tensor

from fairway.metrics.features.classifier import Classifier, trained_on
from fairway.metrics.features.extractor import known
from fairway.metrics.features.frechet import frechet
from fairway.metrics.features.nets import CONVOLUTIONAL

REFERENCE = 5000  # test images on one side; others are fresh on the other
READER = replace(CONVOLUTIONAL, steps=8000, batch=128)  # 1,000 steps read 87 % of Fashion-MNIST's test images right


class Judge:
    """The classifier of a data set, and the distance to its test images.

    Args:
        data: with labels and a test split. draws: images on the other side.
    """

    def __init__(self, data: Any, draws: int) -> None:
        self.data, self.draws, self.classifier = data, draws, trained_on(data.x, data.labels)
        order = torch.randperm(len(data.test.x), generator=torch.Generator().manual_seed(0))
        self.reference, self.fresh = self.classifier(data.test.x[order[:REFERENCE]]), data.test.x[order[REFERENCE:]]

    def distance(self, images: Tensor) -> dict[str, float]:
        """To the reference, with its standard error."""
        found = frechet(self.classifier(images), self.reference, known(self.classifier))
        return {"frechet": round(found.value, 2), "error": round(found.standard_error, 2)}

    def floors(self) -> list[Row]:
        """Fresh images, training images and a Gaussian's."""
        train = self.data.x.flatten(1).double()
        factor = torch.linalg.cholesky(train.T.cov() + 1e-3 * torch.eye(train.shape[1], dtype=torch.float64))
        noise = torch.randn(self.draws, train.shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        gaussian = (train.mean(0) + noise @ factor.T).clamp(0, 255).reshape(-1, *self.data.x.shape[1:])
        sets = {"fresh": self.fresh[: self.draws], "copy": self.data.x[: self.draws]}
        return [{"rule": name, **self.distance(images)} for name, images in {**sets, "gaussian": gaussian}.items()]

    @cached_property
    def reader(self) -> Classifier:
        """Another classifier, trained for longer, that no distance is measured in."""
        return Classifier(self.data.x, self.data.labels, seed=1, recipe=READER)

    def right(self, images: Tensor, labels: Tensor) -> float:
        """The share of images that are seen as what was asked for."""
        return _right(self.classifier, images, labels)

    def read(self, images: Tensor, labels: Tensor) -> float:
        """The same share by the reader."""
        return _right(self.reader, images, labels)


def _right(classifier: Classifier, images: Tensor, labels: Tensor) -> float:
    return round(float((classifier.probabilities(images).argmax(1) == labels).float().mean()), 4)
