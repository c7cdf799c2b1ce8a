"""Who to cite: the BibTeX entries behind a model, from `fairway/citations.bib`."""

import re
from importlib.resources import files
from typing import Any

from fairway.core.registry import UnknownName, registry


def entries() -> dict[str, str]:
    """Every entry of the bibliography by key, in the order of the file."""
    text = files("fairway").joinpath("citations.bib").read_text(encoding="utf-8")
    found = re.findall(r"^@\w+\s*\{\s*([^,\s]+)\s*,.*?^\}", text, re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"^@\w+\s*\{.*?^\}", text, re.MULTILINE | re.DOTALL)
    return dict(zip(found, blocks, strict=True))


def cite(model: Any) -> str:
    """BibTeX of the papers that a model realises.

    Args:
        model: a registered name, a model class or an instance.

    Raises:
        UnknownName: no such model; says which is near.
        ValueError: the model cites nothing.

    >>> "@" in cite("gmm")
    True
    """
    cls = registry("model")[model] if isinstance(model, str) else model
    known = entries()
    keys = list(dict.fromkeys(getattr(cls, "cites", ())))
    if not keys:
        raise ValueError(f"{model!r} cites no paper; a model says so in its class attribute cites = ('key', ...)")
    missing = [key for key in keys if key not in known]
    if missing:
        raise UnknownName(f"no entry {missing[0]!r} in fairway/citations.bib")
    return "\n\n".join(known[key] for key in keys) + "\n"
