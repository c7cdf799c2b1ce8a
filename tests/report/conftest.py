"""Rows of a comparison as a report gets them, without training anything."""

import pytest

from fairway.report.row import Row


def likelihood(relation, method, nats=-80.0, bits=2.2):
    return {
        "nats": nats,
        "standard_error": 0.5,
        "bits_per_dim": bits,
        "bits_per_dim_error": None if bits is None else 0.0125,
        "mc_error": 0.0,
        "relation": relation,
        "method": method,
        "protocol": "grey levels 0..16",
        "rows": 359,
        "terms": {},
    }


@pytest.fixture
def make_likelihood():
    return likelihood


@pytest.fixture
def rows():
    log = [{"step": 50 * i, "seconds": i, "loss": 3.0 / i, "monitor": 2.0 / i} for i in range(1, 9)]
    numbers = {"strokes": 1.0, "parameters": 1_231_936, "training_seconds": 29.97, "steps": 12_345, "memory": 340.0}
    numbers |= {"distance": 0.2345, "seconds_per_1000": 0.0341, "sure": 0.91, "present": 10, "classes": 10}
    return [
        Row("flow_matching", likelihood=likelihood("lower", "numerical"), history=log, stopped="converged", **numbers),
        Row("made", likelihood=likelihood("equal", "exact"), history=log, **numbers),
        Row("wgan_gp", likelihood=likelihood("none", "none", float("nan"), float("nan")), **numbers),
        Row("broken", status="failed", reason="ValueError: expected <b>scale</b> & offset"),
        Row("fresh real data", "reference", distance=0.18, sure=0.96, present=10, classes=10),
        Row("independent", "reference", likelihood=likelihood("equal", "exact", bits=2.4), distance=0.25),
    ]
