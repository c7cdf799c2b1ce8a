"""Who moves in a run, and how: an optimiser for every player that some phase names.

    player "model"    the model, or the part of it that a stage trains
    others            what the objective owns: critics, teachers

How a player moves: the model's own habit (`optimisation`), else the objective's, at the learning rate asked for.
"""

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from fairway.core.model import Model
from fairway.core.objective import Objective, Optimisation, Phase
from fairway.training.optim import Mover


def movers(
    model: Model, objective: Objective, phases: Sequence[Phase], part: nn.Module | None = None, lr: float | None = None
) -> dict[str, Mover]:
    """The optimisers of a run, by player.

    Args:
        part: what moves as the player "model"; None for the model itself.
        lr: in the place of every player's own learning rate.
    """
    players = dict(objective.players(model))
    if part is not None:
        players["model"] = part
    names = dict.fromkeys(phase.player for phase in phases)
    return {name: Mover(players[name], how(model, objective, name, lr)) for name in names}


def how(model: Model, objective: Objective, player: str, lr: float | None = None) -> Optimisation:
    """How a player moves."""
    own = getattr(model, "optimisation", None) if player == "model" else None
    chosen: Optimisation = own or objective.optimisation_of(player)
    return chosen if lr is None else replace(chosen, lr=lr)


def counterpart(part: nn.Module | None, of: nn.Module, within: nn.Module) -> nn.Module | None:
    """The module that stands `within` a copy where `part` stands in the original."""
    names = {id(module): name for name, module in of.named_modules()}
    return None if part is None else within.get_submodule(names[id(part)])


def drops(module: nn.Module) -> bool:
    """Whether any layer draws from the global generator, which is then seeded at every step."""
    return any(isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0 for m in module.modules())
