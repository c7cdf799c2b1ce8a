"""Names for parts, resolved lazily: "real_nvp" -> "fairway.models.flow.real_nvp:RealNVP".

A `Registry` is a table of strings, so that listing every model costs nothing and imports nothing; a part is imported
when it is asked for. Installed packages add their own lines through entry points in the group `fairway.<role>s`.
Names, never dotted paths, appear in configurations: a file can only name what the tables hold.

>>> parts = Registry("number", {"pi": "math:pi"})
>>> round(parts["pi"], 2)
3.14
>>> parts["ip"]
Traceback (most recent call last):
...
fairway.core.registry.UnknownName: no number named 'ip'; did you mean 'pi'?
"""

import importlib
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any


def did_you_mean(name: str, known: list[str]) -> str:
    """ "; did you mean 'x'?" when a known name is near, else the first known names."""
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(known)[:20])}"


class UnknownName(KeyError):
    """A name that no table holds (prints as plain text, unlike KeyError)."""

    def __str__(self) -> str:
        return str(self.args[0])


HOMES = {
    "model": "fairway.models.registry:models",
    "network": "fairway.networks.registry:networks",
    "objective": "fairway.objectives.registry:objectives",
    "sampler": "fairway.samplers.registry:samplers",
    "preprocessing": "fairway.core.preprocessing:preprocessings",
    "metric": "fairway.metrics.registry:metrics",
    "pairing": "fairway.objectives.couplings:couplings",
    "view": "fairway.objectives.views:views",
}


def registry(role: str) -> "Registry":
    """The table of a role, imported when first asked for.

    Raises:
        UnknownName: no such role.
    """
    if role not in HOMES:
        raise UnknownName(f"no role named {role!r}{did_you_mean(role, list(HOMES))}")
    module, _, attribute = HOMES[role].partition(":")
    table: Registry = getattr(importlib.import_module(module), attribute)
    return table


class Registry(Mapping[str, Any]):
    """A mapping from a name to a lazily imported object.

    Args:
        role: what the entries are ("model", "network"), for errors and the entry-point group.
        table: name -> "module:attribute".
    """

    def __init__(self, role: str, table: dict[str, str]) -> None:
        self.role = role
        self._table = dict(table)
        self._objects: dict[str, Any] = {}
        self._discovered = False

    def register(self, name: str, target: Any) -> None:
        """Add an object (or "module:attribute") under a new name.

        Raises:
            ValueError: the name is taken by something else.
        """
        if name in self._table and self._table[name] != target and self._objects.get(name) is not target:
            raise ValueError(f"the {self.role} name {name!r} is taken by {self._table[name]}; choose another")
        if isinstance(target, str):
            self._table[name] = target
        else:
            self._table[name] = f"{target.__module__}:{target.__qualname__}"
            self._objects[name] = target

    def __getitem__(self, name: str) -> Any:
        if name not in self._objects:
            self._objects[name] = self._import(name)
        return self._objects[name]

    def _import(self, name: str) -> Any:
        if name not in self._table:
            self._discover()
        if name not in self._table:
            raise UnknownName(f"no {self.role} named {name!r}{did_you_mean(name, list(self._table))}")
        module, _, attribute = self._table[name].partition(":")
        return getattr(importlib.import_module(module), attribute)

    def _discover(self) -> None:
        """Read the entry points once; the library's own lines win."""
        if not self._discovered:
            self._discovered = True
            for entry in entry_points(group=f"fairway.{self.role}s"):
                self._table.setdefault(entry.name, entry.value)

    def where(self, name: str) -> str:
        """The "module:attribute" of a name, without importing it."""
        if name not in self._table:
            self._discover()
        if name not in self._table:
            raise UnknownName(f"no {self.role} named {name!r}{did_you_mean(name, list(self._table))}")
        return self._table[name]

    def name_of(self, target: type) -> str | None:
        """The name a class is registered under, or None."""
        where = f"{target.__module__}:{target.__qualname__}"
        return next((name for name, line in self._table.items() if line == where), None)

    def __contains__(self, name: object) -> bool:
        if name not in self._table:
            self._discover()
        return name in self._table

    def __iter__(self) -> Iterator[str]:
        self._discover()
        return iter(self._table)

    def __len__(self) -> int:
        self._discover()
        return len(self._table)
