"""How models are drawn from: one file per algorithm. `samplers.Langevin()` and its like load on first use."""

from typing import Any

from fairway.samplers.registry import samplers as _table


def __getattr__(name: str) -> Any:
    for key in _table:
        if _table.where(key).endswith(f":{name}"):
            return _table[key]
    raise AttributeError(f"module 'fairway.samplers' has no attribute {name!r}")
