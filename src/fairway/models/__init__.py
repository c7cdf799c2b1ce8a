"""The families: one folder each, one file per paper. The table of names is `registry`; here is its public side.

>>> "real_nvp" in names()
True
>>> get("real_nvp").__name__
'RealNVP'
"""

from typing import Any

from fairway.models.registry import models as _table


def names() -> list[str]:
    """Every model's name, those of installed packages included; imports none of them."""
    return list(_table)


def get(name: str) -> Any:
    """A model's class by name.

    Raises:
        UnknownName: no such model; says which is near.
    """
    return _table[name]


def register(name: str, model: Any) -> None:
    """Give a model class of your own a name, so that `fit`, `save` and `load` know it.

    Raises:
        ValueError: the name is taken.
    """
    _table.register(name, model)
