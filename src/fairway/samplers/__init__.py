"""How models are drawn from: one file per algorithm. `samplers.Langevin()` and its like load on first use."""

import importlib
from typing import Any

from fairway.samplers.registry import samplers as _table

_MORE = {"draw": "mcmc", "Target": "target", "Tempered": "target", "Reference": "target", "ChainError": "driver"}
_MORE |= {"bracket": "ais", "Bracket": "ais", "resampled": "weights"}
_MORE |= {"ClassifierGuided": "classifier_guidance", "AutoGuided": "autoguidance"}


def __getattr__(name: str) -> Any:
    for key in _table:
        if _table.where(key).endswith(f":{name}"):
            return _table[key]
    if name in _MORE:
        return getattr(importlib.import_module(f"fairway.samplers.{_MORE[name]}"), name)
    raise AttributeError(f"module 'fairway.samplers' has no attribute {name!r}")
