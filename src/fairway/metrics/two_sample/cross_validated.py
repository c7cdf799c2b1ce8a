"""C2ST as the simulation-based inference benchmark reports it (Lueckmann et al. 2021): 0.5 alike, 1.0 apart.

    both sets standardised by the reference's mean and standard deviation (n - 1)
    scikit-learn's MLPClassifier, two hidden layers of 10 D ReLU units, Adam, at most 10,000 epochs
    mean held-out accuracy over 5 shuffled folds, one seed for the folds and the weights

A published number is only comparable under these settings and at its sizes (10,000 rows each); for a p-value take
`classifier_test`. The folds share rows, so the standard error over folds is a guide, not a law.
"""

from typing import Any

import numpy as np

from fairway.core.arrays import as_tensor
from fairway.metrics.estimate import Estimate

FOLDS, UNITS, EPOCHS = 5, 10, 10_000
PROTOCOL = "c2st: 2 x 10 D ReLU, 5 folds, standardised by the reference"


def c2st(reference: Any, samples: Any, *, seed: int = 1) -> Estimate:
    """Classifier two-sample test between reference rows (n, *E) and samples (m, *E).

    Args:
        seed: of the folds and the weights; 1 in the published tables.

    Returns:
        The mean accuracy, its standard error over the folds.

    Raises:
        ImportError: scikit-learn is not there.
        ValueError: rows that do not match, an entry of the reference that does not vary, values that are not finite.

    >>> x = np.arange(40.0).reshape(20, 2)
    >>> c2st(x, x + 1000).value
    1.0
    """
    KFold, cross_val_score, MLPClassifier = _scikit_learn()
    x, y = _rows(reference, "reference"), _rows(samples, "samples")
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"expected as many entries per row, got {x.shape[1]} in the reference and {y.shape[1]}")
    mean, spread = x.mean(0), x.std(0, ddof=1)
    if not (spread > 0).all():
        raise ValueError("expected every entry of the reference to vary, got a constant one; drop it")
    inputs = (np.concatenate([x, y]) - mean) / spread
    labels = np.concatenate([np.zeros(len(x)), np.ones(len(y))])
    classifier = MLPClassifier((UNITS * x.shape[1],) * 2, max_iter=EPOCHS, random_state=seed)
    folds = KFold(FOLDS, shuffle=True, random_state=seed)
    scores = cross_val_score(classifier, inputs, labels, cv=folds, scoring="accuracy")
    error = float(scores.std(ddof=1) / FOLDS**0.5)
    return Estimate(float(scores.mean()), error, method="estimate", n=(len(x), len(y)), protocol=PROTOCOL)


def _rows(x: Any, what: str) -> np.ndarray:
    """(n, D) float32, the precision in which the published numbers were made."""
    rows = as_tensor(x, what).detach().cpu().numpy().astype(np.float32)
    if rows.ndim < 2 or len(rows) < FOLDS:
        raise ValueError(f"expected {what} of shape (n, *E) with n of at least {FOLDS}, got {rows.shape}")
    if not np.isfinite(rows).all():
        raise ValueError(f"expected finite values in {what}, got NaN or an infinity")
    return rows.reshape(len(rows), -1)


def _scikit_learn() -> tuple[Any, Any, Any]:
    try:
        from sklearn.model_selection import KFold, cross_val_score
        from sklearn.neural_network import MLPClassifier
    except ImportError as error:
        raise ImportError("c2st needs scikit-learn: pip install 'fairway[metrics]'") from error
    return KFold, cross_val_score, MLPClassifier
