"""The run for people: what was trained, on what, for how long, and what it can be asked."""

from typing import Any

from fairway.core.model import Model


def card(model: Model, data: dict[str, Any], record: dict[str, Any]) -> str:
    """Markdown text of a run's card."""
    history = record["history"]
    parameters = sum(p.numel() for p in model.parameters())
    lines = [
        f"# {model.name()} on {data.get('name', 'an array')}",
        "",
        f"- event: `{model.event}`" + (f", context `{model.context_event}`" if model.context_event else ""),
        f"- data: {data.get('n')} rows, protocol {data.get('protocol')}, digest {str(data.get('digest'))[:16]}",
        f"- parameters: {parameters:,}",
        f"- {history['steps']} steps in {history['seconds']:.1f} s ({history['stopped']})",
        f"- seed: {record['fit']['seed']}",
        *_began_from(record["fit"].get("init")),
        *_held_out(history),
        f"- answers: {', '.join(sorted(model.capabilities))}; density {model.likelihood}",
        f"- cite: {', '.join(model.cites)}",
        "",
    ]
    return "\n".join(lines)


def _began_from(init: dict[str, Any] | None) -> list[str]:
    """The line of a run that was fine-tuned from another."""
    if init is None:
        return []
    total = init["reused"] + len(init["new"])
    return [f"- began from {init['from']}: {init['reused']} of {total} tensors reused"]


def _held_out(history: dict[str, Any]) -> list[str]:
    """The monitor's line, where something was held out."""
    if history["monitor"] is None:
        return []
    return [f"- held-out {history['monitor']}: {history['best']} at step {history['best_step']}"]
