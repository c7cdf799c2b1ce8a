"""Packages that only some data need (scikit-learn, pandas, pyarrow, Pillow): imported late, with a clear error."""

import importlib
from typing import Any


def need(module: str, what: str) -> Any:
    """Import a module that the core does not require.

    Args:
        module: the name to import, such as "sklearn.datasets".
        what: what needs it, for the error.

    Raises:
        ImportError: it is not installed; says what to install.

    >>> need("math", "an example").pi > 3
    True
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = {"sklearn": "scikit-learn", "PIL": "Pillow"}.get(module.split(".")[0], module.split(".")[0])
        raise ImportError(f"expected the package {package} for {what}, got none; pip install fairway[data]") from error
