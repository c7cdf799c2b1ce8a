"""A critic's memory of fakes: half of what it is shown was made by an earlier generator (Shrivastava et al. 2017).

    a free slot          keeps the fake; the fake is shown
    a taken one          with probability 1/2 the fake replaces its image, which is shown; else the fake is shown

A generator that goes in circles before a critic of the moment only does not get round one that remembers. Each row of a
batch meets a slot of its own, drawn at random; rows beyond the number of slots are shown as they are. Decisions are
tensors, nothing waits for the device, and the images are buffers, so that they are in every checkpoint. Processes that
share a batch hold the same pool.
"""

import torch
from torch import Tensor, nn

from fairway.core.random import Rows

POOL = 17  # stream of the noise


class ImagePool(nn.Module):
    """Images made earlier.

    Args:
        size: how many; 0 for no memory.
        dims: entries of one.
    """

    images: Tensor
    taken: Tensor

    def __init__(self, size: int, dims: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("images", torch.zeros(size, dims))
        self.register_buffer("taken", torch.zeros(size, dtype=torch.bool))

    @torch.no_grad()
    def exchange(self, fake: Tensor, rows: Rows) -> Tensor:
        """What a critic is shown in the place of fakes (B, *U), which may enter the pool."""
        whole = rows.gathered(fake).flatten(1)
        count, generator = min(len(whole), self.size), rows.shared(POOL)
        slots = torch.randperm(self.size, generator=generator)[:count].to(fake.device)
        swapped = (torch.rand(count, generator=generator) < 0.5).to(fake.device)
        new, old, taken = whole[:count], self.images[slots], self.taken[slots]
        self.images[slots] = torch.where((swapped | ~taken).unsqueeze(1), new, old)
        self.taken[slots] = True
        shown = torch.cat([torch.where((swapped & taken).unsqueeze(1), old, new), whole[count:]])
        return rows.share(shown).view_as(fake)
