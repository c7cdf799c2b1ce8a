"""Two-sample tests: are x (n, *E) and y (m, *E) draws of one law?

    test               looks at                                       blind to
    moment_test        means and variances of the entries             laws that share them
    kernel_test        mean embeddings under a kernel (MMD)           nothing in the limit, much at few rows in high D
    neighbour_test     whose row the nearest neighbour is             wide noise in many dimensions
    classifier_test    what a network learns to tell apart            what it does not learn from half of the rows
    c2st               accuracy of scikit-learn's network, 5 folds    the same; the settings of published tables

All but `c2st` (a number without a p-value) reject a true hypothesis with the stated probability at any sample size.
"""

from fairway.metrics.two_sample.classifier import classifier_test
from fairway.metrics.two_sample.cross_validated import c2st
from fairway.metrics.two_sample.kernel import kernel_test
from fairway.metrics.two_sample.moments import moment_test
from fairway.metrics.two_sample.neighbours import neighbour_test

__all__ = ("c2st", "classifier_test", "kernel_test", "moment_test", "neighbour_test")
