"""How the moves of one step follow each other.

    alternating     each player moves, and the next one sees where it went
    simultaneous    all gradients at the same point, then all moves
    extragradient   a simultaneous step to look ahead; back again, and a step along the gradients found there

On the game min_x max_y x y with steps of size h, simultaneous moves leave the equilibrium by sqrt(1 + h^2) a step,
alternating ones go round it for ever, extragradient ones come nearer by sqrt(1 - h^2 + h^4) (Korpelevich 1976; Gidel et
al. 2019, A variational inequality perspective on GANs, whose ExtraAdam moves its averages at both steps, as here).
"""

from collections.abc import Iterable
from typing import Any, Protocol

import torch
from torch import Tensor


class Move(Protocol):
    """One player's move."""

    parameters: Any

    def gradients(self) -> None:
        """Find the gradients at the parameters as they stand, and keep them."""

    def step(self) -> None:
        """Move along them."""


def alternating(moves: Iterable[Move]) -> None:
    """One after the other; moves are made (their batches drawn) as they come."""
    for move in moves:
        move.gradients()
        move.step()


def simultaneous(moves: Iterable[Move]) -> None:
    """All gradients, then all moves."""
    every = list(moves)
    for move in every:
        move.gradients()
    for move in every:
        move.step()


def extragradient(moves: Iterable[Move]) -> None:
    """Twice on the same batches with the same noise, the first time to look ahead."""
    every = list(moves)
    start = [_copies(move.parameters) for move in every]
    simultaneous(every)
    for move in every:
        move.gradients()
    for move, values in zip(every, start, strict=True):
        _put(move.parameters, values)
    for move in every:
        move.step()


def _copies(parameters: Iterable[Tensor]) -> list[Tensor]:
    return [p.detach().clone() for p in parameters]


@torch.no_grad()
def _put(parameters: Iterable[Tensor], values: Iterable[Tensor]) -> None:
    for parameter, value in zip(parameters, values, strict=True):
        parameter.copy_(value)


RULES = {"alternating": alternating, "simultaneous": simultaneous, "extragradient": extragradient}
