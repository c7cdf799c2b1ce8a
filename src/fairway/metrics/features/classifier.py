"""Do samples look like the data, to a classifier? Needs labels.

A small network (`nets`) is trained on the spot on the labelled training rows, under a fixed seed. It answers twice.
With p(x) its largest class probability,

    share    = fraction of samples with p(x) > 0.8          compared with the same fraction on held-out real rows
    present  = classes that at least one such sample is assigned to

A share far below the real one means blurred samples; missing classes mean dropped modes. A high share alone proves
little: a copy of the training data scores best, and a classifier that knows only digits may be sure of noise (of few
classes, though). Read it beside a distance. Called on rows, it returns its last hidden layer (n, 128): features in
which distances see what tells the classes apart, and hardly anything else. `save` and `load` keep it, so that later
numbers are in the same features.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.random import seeded
from fairway.metrics.divergence import relative_to
from fairway.metrics.features.extractor import digest
from fairway.metrics.features.nets import PERCEPTRON, RECIPES, Recipe, recipe_for
from fairway.metrics.features.store import read_folder, write_folder

SURE = 0.8  # the largest class probability above which a row counts as recognised


@dataclass(frozen=True)
class Confidence:
    """How a classifier takes a set of samples.

    Args:
        share: fraction of samples it is sure of. real: the same fraction on held-out rows.
        present: classes among these samples. classes: how many there are.
        n: number of samples.
    """

    share: float
    real: float
    present: int
    classes: int
    n: int


class Classifier:
    """A small network, trained once on labelled rows and then asked about any number of sets of samples.

    Args:
        x: (n, *E) training rows, data units.
        labels: (n,) integers 0, 1, ...
        seed: of the initial weights and the batches.
        recipe: the network and how it is trained; `trained_on` chooses it by the shape of the rows.

    Raises:
        ValueError: labels of another length, or one class only.
    """

    def __init__(self, x: Any, labels: Any, *, seed: int = 0, recipe: Recipe = PERCEPTRON) -> None:
        rows, target = as_tensor(x).detach().float().cpu(), as_tensor(labels, "labels").long().cpu()
        if target.shape != (len(rows),):
            raise ValueError(f"expected labels of shape ({len(rows)},), got {tuple(target.shape)}")
        self.shape, self.rows, self.seed, self.recipe = tuple(rows.shape[1:]), len(rows), seed, recipe
        self.classes = int(target.max()) + 1
        if self.classes < 2:
            raise ValueError("expected labels of at least two classes, got one")
        self.mean, self.unit = rows.mean(0), relative_to(rows).float()
        with seeded(seed):
            self.network = recipe.build(self.shape, self.classes)
        recipe.train(self.network, self._to_units(rows), target, seed)

    @property
    def name(self) -> str:
        """What it is, for protocols."""
        shape = "x".join(map(str, self.shape))
        return (
            f"classifier {self.recipe.name} {digest(self._tensors().values())}, {self.classes} classes, "
            f"trained on {self.rows} rows {shape}, seed {self.seed}, resize none"
        )

    def _to_units(self, x: Tensor) -> Tensor:
        """(n, *E): centred, in the units of `relative_to`."""
        return (x.detach().float().cpu() - self.mean) / self.unit

    @torch.no_grad()
    def __call__(self, x: Any, /) -> Tensor:
        """The last hidden layer (n, 128) of rows (n, *E).

        Raises:
            ValueError: rows of another shape.
        """
        rows = as_tensor(x)
        if tuple(rows.shape[1:]) != self.shape:
            raise ValueError(f"expected rows (n, {', '.join(map(str, self.shape))}), got {tuple(rows.shape)}")
        return self.network[:-1](self._to_units(rows))

    @torch.no_grad()
    def probabilities(self, x: Any) -> Tensor:
        """(n, classes)."""
        parts = [self.network[-1](self(part)) for part in as_tensor(x).split(1000)]
        return torch.cat(parts).softmax(-1)

    def sure(self, x: Any) -> tuple[float, int]:
        """The share of rows with a class of probability above 0.8, and how many classes those rows cover."""
        best, label = self.probabilities(x).max(-1)
        recognised = best > SURE
        return float(recognised.float().mean()), len(label[recognised].unique())

    # -- files --------------------------------------------------------------------------------------------------
    def _tensors(self) -> dict[str, Tensor]:
        return {f"network.{key}": value for key, value in self.network.state_dict().items()} | {
            "mean": self.mean,
            "unit": self.unit,
        }

    def save(self, folder: Any) -> None:
        """Write a new folder.

        Raises:
            FileExistsError: something is there already.
        """
        about = {key: getattr(self, key) for key in ("shape", "classes", "rows", "seed")}
        write_folder(folder, about | {"recipe": self.recipe.name}, self._tensors())

    @classmethod
    def load(cls, folder: Any) -> "Classifier":
        """A stored classifier, with the same name as when it was saved.

        Raises:
            FileNotFoundError: a file is missing. ValueError: broken, or not a classifier.
        """
        about, tensors = read_folder(folder)
        self = cls.__new__(cls)
        try:
            self.shape, self.classes = tuple(about["shape"]), about["classes"]
            self.rows, self.seed, self.recipe = about["rows"], about["seed"], RECIPES[about["recipe"]]
            self.mean, self.unit = tensors.pop("mean"), tensors.pop("unit")
            with seeded(0):
                self.network = self.recipe.build(self.shape, self.classes)
            self.network.load_state_dict({key.removeprefix("network."): value for key, value in tensors.items()})
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"expected a stored classifier in {folder}, got another: {str(error)[:200]}") from None
        return self


def trained_on(x: Any, labels: Any, *, seed: int = 0) -> Classifier:
    """A classifier of labelled rows (n, *E): convolutions for images of at least 16 x 16, else a perceptron.

    >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0)) + 8 * (torch.arange(200) % 2).view(-1, 1)
    >>> trained_on(x, torch.arange(200) % 2)(x).shape
    torch.Size([200, 128])
    """
    return Classifier(x, labels, seed=seed, recipe=recipe_for(tuple(as_tensor(x).shape[1:])))


def confidence(samples: Any, x: Any, labels: Any, held_out: Any, *, seed: int = 0) -> Confidence:
    """How sure a classifier trained on (x, labels) is of samples, and of real held-out rows.

    Args:
        samples: (n, *E); x: (m, *E) with labels (m,); held_out: (k, *E) real rows that the classifier has not seen.

    >>> x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0)) + 8 * (torch.arange(200) % 2).view(-1, 1)
    >>> found = confidence(x[100:], x[:100], torch.arange(100) % 2, x[100:])
    >>> found.share == found.real > 0.9, found.present
    (True, 2)
    """
    classifier = Classifier(x, labels, seed=seed)
    share, present = classifier.sure(samples)
    return Confidence(share, classifier.sure(held_out)[0], present, classifier.classes, len(samples))
