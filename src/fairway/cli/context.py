"""The context of a conditional model, as a command line can say it: the data's labels, or one context in numbers."""

from typing import Any


def labels_of(model: Any, data: Any, named: str | None) -> Any:
    """The contexts (n,) of a data set's rows, or None for a model without.

    Raises:
        ValueError: labels that the data lack, that the model does not take, or that it asks for.
    """
    if named not in (None, "labels"):
        raise ValueError(f"expected --context labels, got {named!r}")
    if named is None and model.context_event is not None:
        raise ValueError(f"{model.name()} was trained with a context: expected --context labels, got none")
    if named is not None and model.context_event is None:
        raise ValueError(f"{model.name()} was trained without a context; leave --context out")
    if named is not None and data.labels is None:
        raise ValueError(f"expected data with labels for --context labels, but {data.name} has none")
    return None if named is None else data.labels


def one_context(model: Any, text: str | None) -> Any:
    """A context (*C) from "3" or "0.5,1.5"; None for a model without.

    Raises:
        ValueError: missing, superfluous, not numbers, or not as many as one context has.
    """
    event = model.context_event
    if event is None and text is not None:
        raise ValueError(f"{model.name()} was trained without a context; leave --context out")
    if event is None:
        return None
    import torch

    count, kind = event.dims, "whole number" if event.counted else "number"
    wanted = f"expected --context as {count} {kind}{'s with commas between' if count > 1 else ''}"
    try:
        values = [(int if event.counted else float)(part) for part in (text or "").split(",") if part.strip()]
    except ValueError:
        raise ValueError(f"{wanted}, got {text!r}") from None
    if len(values) != count:
        raise ValueError(f"{wanted}, got {'none' if text is None else repr(text)}")
    return torch.tensor(values).reshape(event.shape)
