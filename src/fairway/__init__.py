"""Fairway: deep generative models behind one interface, from the tee (noise) to the hole (data).

Importing the package imports neither torch nor a model; the names below load on first use.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "fit": "fairway.training.fit:fit",
    "approximate": "fairway.training.variational:approximate",
    "load": "fairway.training.run_folder:load",
    "evaluate": "fairway.metrics.evaluate:evaluate",
    "compare": "fairway.report.compare:compare",
    "cite": "fairway.report.cite:cite",
    "Event": "fairway.core.event:Event",
    "Model": "fairway.core.model:Model",
    "Case": "fairway.core.model:Case",
    "Objective": "fairway.core.objective:Objective",
    "Loss": "fairway.core.objective:Loss",
    "Phase": "fairway.core.objective:Phase",
}
_SUBPACKAGES = (
    "applications",
    "core",
    "data",
    "metrics",
    "models",
    "networks",
    "objectives",
    "report",
    "samplers",
    "testing",
    "training",
)

__all__ = ["__version__", *_LAZY]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        module, _, attribute = _LAZY[name].partition(":")
        return getattr(import_module(module), attribute)
    if name in _SUBPACKAGES:
        return import_module(f"fairway.{name}")
    raise AttributeError(f"module 'fairway' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY, *_SUBPACKAGES])
