"""Small instances of a model that its contract runs on."""

from dataclasses import dataclass, field
from typing import Any

from fairway.core.event import Event


@dataclass(frozen=True)
class Case:
    """A tiny instance of a model, built in milliseconds, that the contract tests run on."""

    event: Event
    context_event: Event | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
