"""How models are judged: likelihoods, distances between samples, features, modes, calibration, cost.

Every number comes as an `Estimate` or a `Likelihood`: with its relation, method, unit and standard error. Names load on
first use: `fairway.metrics.frechet`, `fairway.metrics.kl`, ...
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "calibration": (
        "central_level coverage ecdf_test highest_density_level pit simulation_based_calibration completion_calibration"
    ),
    "cost": "parameters peak_memory seconds_per_1000 strokes",
    "divergence": (
        "divergences energy_distance f_divergence gaussian_kl gaussian_w2 kl neighbour_kl optimal_transport "
        "parallel_lines sliced_wasserstein squared_mmd table table_divergences wasserstein wasserstein_on_line"
    ),
    "estimate": "Estimate",
    "evaluate": "evaluate",
    "event_probability": "event_probability",
    "expectation": "expectation expectations mean moment variance",
    "features": (
        "ModuleFeatures density_coverage feature_metrics frechet inception inception_score precision_recall raw "
        "trained_on"
    ),
    "floor": "with_floor",
    "importance": "importance_bound",
    "likelihood": "likelihood",
    "log_normaliser": "bracket_log_normaliser grid_log_normaliser log_normaliser",
    "memorisation": "memorisation nearest_rows",
    "modes": "Mixture mode_metrics modes_by_labels",
    "parzen": "parzen",
    "two_sample": "c2st classifier_test kernel_test moment_test neighbour_test",
}
_WHERE = {name: home for home, names in _HOMES.items() for name in names.split() if name != home}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(f"fairway.metrics.{_WHERE[name]}"), name)
    if name in _HOMES:
        return import_module(f"fairway.metrics.{name}")
    raise AttributeError(f"module 'fairway.metrics' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_WHERE, *_HOMES])
