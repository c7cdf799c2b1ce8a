"""Networks that grow: which size they draw at, and how far the newest size has come (Karras et al. 2018, section 3).

    level  0, ..., last     pictures of 2^level times the smallest side
    fade   in [0, 1]        u = (1 - fade) copies(u_{level-1}) + fade u_level,      "copies": every pixel four times

Each level is young for `pace` steps: its fade rises from 0 to 1 over the first half of them and rests at 1 for the
second; the last level stays. Level, fade and age (steps so far) are buffers: they are saved and resumed with the
network, whose parameters never change shape. As built a network is grown, and stays so under an objective that knows
nothing of growth; `begin` takes it back to where its age says.

Pictures are always of full size: what a level draws is copied up, what it is shown is averaged over tiles of
2^(last - level) pixels a side, and `coarse` does the same to data, faded alike. So distances between pictures, and a
critic's slope, mean the same at every level.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Growth(nn.Module):
    """Level, fade and age.

    Args:
        last: the level of full size.
        pace: steps that each level but the last one takes; 0 for a network that is grown from the start.

    Raises:
        ValueError: a negative number.

    >>> growth = Growth(last=2, pace=4)
    >>> growth.now
    (2, 1.0)
    >>> growth.begin()
    >>> [(growth.now, growth.advance())[0] for _ in range(10)][3:8]
    [(0, 1.0), (1, 0.5), (1, 1.0), (1, 1.0), (1, 1.0)]
    """

    level: Tensor
    fade: Tensor
    age: Tensor

    def __init__(self, last: int, pace: int = 600) -> None:
        super().__init__()
        if last < 0 or pace < 0:
            raise ValueError(f"expected last and pace of at least 0, got last={last}, pace={pace}")
        self.last, self.pace = last, pace
        self.register_buffer("level", torch.tensor(last))
        self.register_buffer("fade", torch.ones(()))
        self.register_buffer("age", torch.tensor(0))

    @property
    def now(self) -> tuple[int, float]:
        """Level and fade (read from the device: the level decides which layers run)."""
        return int(self.level), float(self.fade)

    def begin(self) -> None:
        """Go to the level and fade of this age."""
        age = int(self.age)
        level = min(age // self.pace, self.last) if self.pace else self.last
        steps = age - level * self.pace + 1  # at this level, the next one included
        self.level.fill_(level)
        self.fade.fill_(min(2 * steps / self.pace, 1.0) if level and self.pace else 1.0)

    def advance(self) -> None:
        """A step older."""
        self.age += 1
        self.begin()

    def coarse(self, u: Tensor) -> Tensor:
        """Pictures (B, ..., H, W) as a network of this age could have drawn them."""
        (level, fade), images = self.now, u.reshape(len(u), -1, *u.shape[-2:])
        tile = 2 ** (self.last - level)
        fine = enlarged(averaged(images, tile), tile)
        if fade < 1:
            fine = torch.lerp(enlarged(averaged(images, 2 * tile), 2 * tile), fine, fade)
        return fine.reshape(u.shape)


def averaged(images: Tensor, tile: int) -> Tensor:
    """(B, C, H, W) -> (B, C, H / tile, W / tile): means over tiles."""
    return F.avg_pool2d(images, tile) if tile > 1 else images


def enlarged(images: Tensor, tile: int) -> Tensor:
    """(B, C, H, W) -> (B, C, H tile, W tile): every pixel as a tile of copies."""
    return F.interpolate(images, scale_factor=float(tile), mode="nearest") if tile > 1 else images
