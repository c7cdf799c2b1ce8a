"""What each model is, read from its source without importing it (torch takes seconds, this takes milliseconds)."""

import ast
import re
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

from fairway.models.registry import models


def family(name: str) -> str:
    """The family of a model, from where it lives ("fairway.models.flow.real_nvp" -> "flow"); "other" for guests."""
    match = re.match(r"fairway\.models\.(\w+)\.", models.where(name))
    return match[1] if match else "other"


def summary(name: str) -> str:
    """How the model's module docstring begins."""
    path = _file(models.where(name).partition(":")[0])
    if path is None or not path.exists():
        return ""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


def _file(module: str) -> Path | None:
    """The source file of a module; its packages' own code is light, the module itself is not run."""
    parent, _, leaf = module.rpartition(".")
    spec = find_spec(parent) if parent else None
    places = list(spec.submodule_search_locations or []) if spec else None
    found = PathFinder.find_spec(module if parent else leaf, places)
    return None if found is None or found.origin is None else Path(found.origin)
