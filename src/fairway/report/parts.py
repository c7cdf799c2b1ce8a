"""Who trains and who judges: the same two sets of rows for every model of a comparison.

official test split, or a seeded share     ->  training rows, held-out rows
held-out rows                              ->  shuffled once, at most `limit` of them looked at
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.random import generator_for
from fairway.data.dataset import Dataset
from fairway.data.split import split_rows

SHARE = 0.2  # held out where there is no official test split
SHUFFLE = 42  # stream of the comparison's seed
FEWEST = 4  # held-out rows: two halves of two


@dataclass
class Parts:
    """The rows that train and the rows that judge.

    Args:
        train, held: (n, *E) and (m, *E), with their labels where there are any.
        context, held_context: one context per row, or None.
        part: {"holdout": share, "seed": s}, how `train` can be taken from its source again; None for an array.
    """

    train: Dataset
    held: Dataset
    context: Tensor | None
    held_context: Tensor | None
    part: dict[str, Any] | None


def split_parts(data: Dataset, context: Any, holdout: float | None, seed: int, limit: int) -> Parts:
    """Training and held-out rows.

    Args:
        context: (n, *C), "labels" or None.
        holdout: share of the rows; None for the official test split, or 0.2 where there is none.
        seed: of the split and the shuffle. limit: held-out rows kept, at most.

    Raises:
        ValueError: a context that does not fit, or too few rows to hold out.
    """
    given = _context(data, context)
    if holdout is None and data.test is not None:
        parts = _official(data, data.test, given, context, seed)
    else:
        parts = _shared(data, given, SHARE if holdout is None else holdout, seed)
    keep = torch.randperm(len(parts.held), generator=generator_for(seed, SHUFFLE))[:limit]
    if len(keep) < FEWEST:
        wanted = f"expected at least {FEWEST} held-out rows"
        raise ValueError(f"{wanted}, got {len(keep)}; give more data, a larger holdout or a larger limit")
    parts.held = parts.held.rows(keep)
    parts.held_context = None if parts.held_context is None else parts.held_context[keep]
    parts.part = None if data.source == "array" else parts.part
    return parts


def _official(data: Dataset, test: Dataset, given: Tensor | None, context: Any, seed: int) -> Parts:
    """The publishers' split."""
    if given is not None and (not isinstance(context, str) or test.labels is None):
        raise ValueError("expected context='labels' with an official test split that has them; or say holdout=share")
    held_context = None if given is None else test.labels
    return Parts(data.split(None)[0], test, given, held_context, {"holdout": None, "seed": seed})


def _shared(data: Dataset, given: Tensor | None, share: float, seed: int) -> Parts:
    """A share of the rows, by the seed."""
    rows, others = split_rows(len(data), share, seed)
    context, held_context = (None, None) if given is None else (given[rows], given[others])
    return Parts(data.rows(rows), data.rows(others), context, held_context, {"holdout": share, "seed": seed})


def _context(data: Dataset, context: Any) -> Tensor | None:
    if isinstance(context, str):
        if context != "labels" or data.labels is None:
            raise ValueError(f"expected context as an array, or 'labels' for data that have them; got {context!r}")
        return data.labels
    tensor = None if context is None else as_tensor(context, "context")
    if tensor is not None and len(tensor) != len(data):
        raise ValueError(f"expected as many contexts as rows ({len(data)}), got {len(tensor)}")
    return tensor


def hand_over(parts: Parts, folder: Path) -> dict[str, str]:
    """Write the rows as .npy files for the workers; returns where each is."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {"train": parts.train.x, "held_out": parts.held.x}
    if parts.context is not None and parts.held_context is not None:
        arrays |= {"train_context": parts.context, "held_out_context": parts.held_context}
    for name, rows in arrays.items():
        np.save(folder / f"{name}.npy", rows.cpu().numpy())
    return {name: str(folder / f"{name}.npy") for name in arrays}
