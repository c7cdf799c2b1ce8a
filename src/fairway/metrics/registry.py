"""Metrics by name: what training may watch on held-out rows.

Every entry has one signature, ``(model, x, context, *, generator: int) -> float``, takes x in data units, and is better
when it is lower. Objectives name one as their `monitor`, so that stopping early needs no import of this layer.
"""

from fairway.core.registry import Registry

METRICS = {
    "nll": "fairway.metrics.evaluate:nll",
    "sliced_wasserstein": "fairway.metrics.divergence:sample_distance",
    "coverage": "fairway.metrics.features.uncovered:uncovered",
}

metrics = Registry("metric", METRICS)
