"""A run on disk: what was trained, on what, how, and the weights. No pickle; names, never dotted paths.

    config.json           the model as configuration: names of registered parts and their arguments, the fit's options
    weights.safetensors   parameters and buffers under plain names
    data.json             source, digest, split seed, protocol of the training data
    metrics.jsonl         one row per log window
    card.md               the same for people
    training/             what a resume needs

`load` builds only what the tables name; a stranger's network is asked for by keyword.
"""

import os
from pathlib import Path
from typing import Any

import torch

import fairway
from fairway.core.config import check_options, from_json, lookup, to_json
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.preprocessing import Preprocessing
from fairway.core.random import seeded
from fairway.training.allowance import Allowance
from fairway.training.checkpoint import replace_buffer
from fairway.training.claim import refuse_foreign
from fairway.training.files import BrokenFolder, read_json, read_tensors, write_json, write_tensors

FORMAT = 1


def describe(model: Model) -> dict[str, Any]:
    """The model as JSON-ready configuration.

    Raises:
        ValueError: the model's class is in no table, so that no file could name it.
    """
    from fairway.models.registry import models

    name = models.name_of(type(model))
    if name is None:
        raise ValueError(
            f"{type(model).__name__} is not registered: fairway.models.register('name', {type(model).__name__}) "
            "(in both the program that saves and the one that loads), then save"
        )
    return {
        "format": FORMAT,
        "fairway": fairway.__version__,
        "torch": torch.__version__,
        "model": name,
        "arguments": {key: to_json(value, key) for key, value in model.arguments.items()},
        "preprocess": to_json(model.preprocess),
        "context_preprocess": to_json(model.context_preprocess),
        "dtype": str(model.dtype).removeprefix("torch."),
    }


def save(model: Model, folder: Any, extra: dict[str, Any] | None = None) -> Path:
    """Write a model to a run folder (made where it is missing); each file is whole or absent.

    Args:
        folder: where to.
        extra: further entries of config.json (the fit's own options).

    Raises:
        FileExistsError: it holds a config.json of something else.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    refuse_foreign(folder)
    config = {**describe(model), **(extra or {})}
    write_tensors(folder / "weights.safetensors", model.state_dict())
    write_json(folder / "config.json", config)
    return folder


def read_config(folder: Any) -> dict[str, Any]:
    """The configuration of a run folder, checked for its format.

    Raises:
        BrokenFolder: no such folder, broken file, or a format this version cannot read.
    """
    folder = Path(folder)
    if not os.path.isdir(folder):  # says no to a name too long or with a NUL, where pathlib raises
        raise BrokenFolder(f"expected a run folder, found none at {folder}")
    config = read_json(folder / "config.json")
    if not isinstance(config, dict) or not isinstance(config.get("model"), str) or "arguments" not in config:
        raise BrokenFolder(f"{folder / 'config.json'} does not describe a model")
    if config.get("format") != FORMAT:
        raise BrokenFolder(
            f"{folder} has format {config.get('format')!r}; this fairway ({fairway.__version__}) reads format {FORMAT}"
        )
    return config


def load(folder: Any, **external: Any) -> Model:
    """The model of a run folder, in eval mode.

    Args:
        folder: written by `save` or `fit(out=...)`.
        external: your own modules, under the names the configuration gives them.

    Raises:
        BrokenFolder: anything missing, truncated, hostile or of another version.
    """
    folder = Path(folder)
    config = read_config(folder)
    try:
        _refuse_unasked(config, external)
        lookup("model", config["model"])
        tensors = read_tensors(folder / "weights.safetensors")
        with _allowance(tensors):
            model = build(config, external)
    except BrokenFolder:
        raise
    except Exception as error:  # a constructor may raise anything on a stranger's values
        why = str(error)[:300] or type(error).__name__
        raise BrokenFolder(f"{folder / 'config.json'} cannot be built: {why}") from None
    load_weights(model, tensors, str(folder))
    return model.eval()


def _allowance(tensors: dict[str, torch.Tensor]) -> Allowance:
    """Many times what the weights take, and room for small models: work tables, masks."""
    return Allowance(16 * sum(tensor.nbytes for tensor in tensors.values()) + 2**28, 100 * len(tensors) + 20_000)


def build(config: dict[str, Any], external: dict[str, Any] | None = None) -> Model:
    """A model from its configuration, with untrained weights."""
    cls = lookup("model", config["model"])
    arguments = {key: from_json(value, external) for key, value in config["arguments"].items()}
    check_options(cls, arguments, config["model"])
    if not isinstance(arguments.get("event"), Event):
        raise ValueError("expected an event among the arguments")
    with seeded(0):
        model: Model = cls(**arguments)
    if config.get("preprocess"):
        model.use_preprocessing(_preprocessing(config["preprocess"], external))
    if config.get("context_preprocess") and model.context_preprocess is not None:
        model.context_preprocess = _preprocessing(config["context_preprocess"], external)
    return model.to(_dtype(config.get("dtype", "float32")))


def _preprocessing(data: Any, external: dict[str, Any] | None) -> Preprocessing:
    part = from_json(data, external)
    if not isinstance(part, Preprocessing):
        raise ValueError(f"expected a preprocessing, got {str(data)[:100]}")
    return part


def _refuse_unasked(config: Any, external: dict[str, Any]) -> None:
    """A part handed over that the configuration never asks for is a misspelt name."""
    asked = _externals(config)
    unasked = sorted(set(external) - asked)
    if unasked:
        raise ValueError(f"it asks for {', '.join(sorted(asked)) or 'no part of your own'}, got {', '.join(unasked)}")


def _externals(data: Any) -> set[str]:
    """The names of the external parts anywhere in a configuration."""
    if isinstance(data, dict) and set(data) == {"external"}:
        return {str(data["external"])}
    values = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return set().union(*map(_externals, values))


def _dtype(name: str) -> torch.dtype:
    known = {"float32": torch.float32, "float64": torch.float64, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if name not in known:
        raise ValueError(f"expected a dtype among {', '.join(known)}, got {name!r}")
    return known[name]


def load_weights(model: Model, tensors: dict[str, torch.Tensor], where: str) -> None:
    """Copy tensors into a model; buffers whose size depends on data (built without rows) take the file's shape.

    Raises:
        BrokenFolder: names, shapes or types that do not belong to this model, or values that are not numbers.
    """
    own = model.state_dict()
    missing, unknown = sorted(set(own) - set(tensors)), sorted(set(tensors) - set(own))
    if missing or unknown:
        raise BrokenFolder(f"the weights in {where} do not fit: missing {missing[:3]}, unknown {unknown[:3]}")
    parameters = dict(model.named_parameters())
    for name, tensor in tensors.items():
        _check_tensor(tensor, own[name], name in parameters, f"{name} in {where}")
        if own[name].shape != tensor.shape:
            replace_buffer(model, name, tensor)
    model.load_state_dict(tensors)


def _check_tensor(tensor: torch.Tensor, own: torch.Tensor, learnt: bool, what: str) -> None:
    """A tensor of the file against the model's own; only what is not learnt may hold infinities (log of 0)."""
    grows = not learnt and own.ndim > 0 and len(own) == 0 and own.shape[1:] == tensor.shape[1:]
    if own.shape != tensor.shape and not grows:
        raise BrokenFolder(f"{what} has shape {tuple(tensor.shape)}, not {tuple(own.shape)}")
    if own.dtype != tensor.dtype:
        raise BrokenFolder(f"{what} has type {tensor.dtype}, not {own.dtype}")
    if bool(torch.isnan(tensor).any()) or (learnt and bool(torch.isinf(tensor).any())):
        raise BrokenFolder(f"{what} holds values that are not finite numbers: this model cannot answer, train it anew")
