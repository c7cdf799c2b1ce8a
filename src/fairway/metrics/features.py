"""Do samples look like the data, to a classifier? Needs labels.

A small network (D -> 128 -> 128 -> classes) is trained on the spot on the labelled training rows, under a fixed seed.
With p(x) its largest class probability,

    share    = fraction of samples with p(x) > 0.8          compared with the same fraction on held-out real rows
    present  = classes that at least one such sample is assigned to

A share far below the real one means blurred samples; missing classes mean dropped modes. A high share alone proves
little: a copy of the training data scores best, and a classifier that knows only digits may be sure of noise (of few
classes, though). Read it beside a distance.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fairway.core.arrays import as_tensor
from fairway.core.random import generator_for, seeded
from fairway.metrics.divergence import relative_to

SURE = 0.8  # the largest class probability above which a row counts as recognised
STEPS, BATCH, WIDTH = 400, 128, 128


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

    Raises:
        ValueError: labels of another length, or one class only.
    """

    def __init__(self, x: Any, labels: Any, *, seed: int = 0) -> None:
        rows, target = as_tensor(x).detach().float().cpu(), as_tensor(labels, "labels").long().cpu()
        if target.shape != (len(rows),):
            raise ValueError(f"expected labels of shape ({len(rows)},), got {tuple(target.shape)}")
        self.classes = int(target.max()) + 1
        if self.classes < 2:
            raise ValueError("expected labels of at least two classes, got one")
        self.mean, self.unit = rows.mean(0), relative_to(rows).float()
        with seeded(seed):
            self.network = nn.Sequential(
                nn.Linear(rows[0].numel(), WIDTH), nn.ReLU(),
                nn.Linear(WIDTH, WIDTH), nn.ReLU(),
                nn.Linear(WIDTH, self.classes),
            )  # fmt: skip
        self._train(self._to_units(rows), target, seed)

    def _train(self, u: Tensor, target: Tensor, seed: int) -> None:
        optimiser = torch.optim.AdamW(self.network.parameters(), lr=2e-3, weight_decay=1e-2)
        generator = generator_for(seed, 1)
        with torch.enable_grad():
            for _ in range(STEPS):
                index = torch.randint(len(u), (min(BATCH, len(u)),), generator=generator)
                optimiser.zero_grad()
                F.cross_entropy(self.network(u[index]), target[index]).backward()
                optimiser.step()

    def _to_units(self, x: Tensor) -> Tensor:
        """(n, D): centred, in the units of `relative_to`."""
        return ((x.detach().float().cpu() - self.mean) / self.unit).flatten(1)

    @torch.no_grad()
    def probabilities(self, x: Any) -> Tensor:
        """(n, classes)."""
        return self.network(self._to_units(as_tensor(x))).softmax(-1)

    def sure(self, x: Any) -> tuple[float, int]:
        """The share of rows with a class of probability above 0.8, and how many classes those rows cover."""
        best, label = self.probabilities(x).max(-1)
        recognised = best > SURE
        return float(recognised.float().mean()), len(label[recognised].unique())


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
