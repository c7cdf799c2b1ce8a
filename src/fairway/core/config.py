"""The constructor's signature is the configuration.

A `Configurable` remembers the arguments it was built with; nothing else has to be written to rebuild it. As JSON, a
part is its role, its registered name and what differs in its arguments:

    {"network": "mlp", "hidden": [128, 128]}     {"event": {"shape": [2]}}     {"external": "network"}

Only names that a table holds can be named, so a configuration never imports or runs what a stranger wrote in it. A
user's own module is written as external, and handed back by keyword when the run is loaded.
"""

import inspect
from typing import TYPE_CHECKING, Any, ClassVar

from torch import nn

from fairway.core.event import Event
from fairway.core.registry import HOMES, did_you_mean, registry


class Configurable:
    """Mix-in: remembers the constructor's arguments in `arguments`."""

    role: ClassVar[str]
    arguments: dict[str, Any]

    if TYPE_CHECKING:  # nn.Module types every attribute as Tensor | Module, hooks and buffers among them

        def __getattr__(self, name: str) -> Any: ...

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        instance = super().__new__(cls)
        object.__setattr__(instance, "arguments", _bind(cls, args, kwargs))
        return instance

    @classmethod
    def name(cls) -> str:
        """The registered name, or the class name where there is none."""
        return registry(cls.role).name_of(cls) or cls.__name__


def _bind(cls: type, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments by name with defaults applied; a wrong call is left for the constructor to refuse."""
    try:
        bound = inspect.signature(cls.__init__).bind_partial(None, *args, **kwargs)  # type: ignore[misc]
    except TypeError:
        return {}
    bound.apply_defaults()
    return {key: value for key, value in list(bound.arguments.items())[1:] if key not in ("args", "kwargs")}


def signature(cls: type) -> dict[str, inspect.Parameter]:
    """The constructor's named parameters, without `self`."""
    parameters = list(inspect.signature(cls.__init__).parameters.items())[1:]  # type: ignore[misc]
    return {name: p for name, p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


def check_options(cls: type, options: dict[str, Any], what: str) -> None:
    """Refuse options that the constructor does not take.

    Raises:
        ValueError: names the option and its near neighbours.
    """
    known = list(signature(cls))
    for key in options:
        if key not in known:
            raise ValueError(f"{what} has no option {key!r}{did_you_mean(key, known)}")


def to_json(value: Any, argument: str = "") -> Any:
    """A configuration value as JSON-ready data.

    Raises:
        TypeError: a value that cannot be written.
    """
    if isinstance(value, Event):
        return {"event": value.to_dict()}
    if isinstance(value, Configurable):
        return part_to_json(value, argument)
    if isinstance(value, nn.Module):
        return {"external": argument}
    if isinstance(value, list | tuple):
        return [to_json(entry, f"{argument}.{i}") for i, entry in enumerate(value)]
    if isinstance(value, dict):
        return {str(key): to_json(entry, f"{argument}.{key}") for key, entry in value.items()}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"cannot write the argument {argument!r} of type {type(value).__name__} to a configuration")


def part_to_json(part: Configurable, argument: str = "") -> dict[str, Any]:
    """A part as {role: name, **arguments}; a class outside every table is external.

    A part that holds another of its role, as a guided sampler does, may call it by the role's own name: its arguments
    are then one level down, {role: name, "arguments": {...}}.
    """
    name = registry(part.role).name_of(type(part))
    if name is None:
        return {"external": argument}
    arguments = {key: to_json(value, key) for key, value in part.arguments.items()}
    return {part.role: name, "arguments": arguments} if part.role in arguments else {part.role: name, **arguments}


def from_json(data: Any, external: dict[str, Any] | None = None) -> Any:
    """The inverse of `to_json`; lists come back as tuples.

    Args:
        external: the user's own parts by the name the configuration gives them.

    Raises:
        ValueError: an unknown part, an option its constructor lacks, a missing external part.
    """
    if isinstance(data, list):
        return tuple(from_json(entry, external) for entry in data)
    if not isinstance(data, dict):
        return data
    if set(data) == {"event"}:
        return Event.from_dict(data["event"])
    if set(data) == {"external"}:
        return _external(str(data["external"]), external or {})
    roles = [role for role in HOMES if isinstance(data.get(role), str)]
    if len(roles) == 1:
        return _part(roles[0], dict(data), external)
    return {key: from_json(entry, external) for key, entry in data.items()}


def _part(role: str, data: dict[str, Any], external: dict[str, Any] | None) -> Any:
    name = data.pop(role)
    cls, data = lookup(role, name), data["arguments"] if set(data) == {"arguments"} else data
    arguments = {key: from_json(value, external) for key, value in data.items()}
    check_options(cls, arguments, f"the {role} {name!r}")
    return cls(**arguments)


def lookup(role: str, name: str) -> Any:
    """A class by role and registered name; dotted and foreign names are refused before anything is imported.

    Raises:
        ValueError: not a name of that table.
    """
    table = registry(role)
    if name not in table:
        raise ValueError(f"no {role} named {name!r}{did_you_mean(name, list(table))}")
    return table[name]


def _external(name: str, external: dict[str, Any]) -> Any:
    if name not in external:
        raise ValueError(f"this run uses a part of your own: load(..., {name}=your_module)")
    return external[name]
