"""Seeds that do not care how the rows are batched.

All noise is drawn in fixed blocks of 64 rows; block b of seed s has a generator of its own, seeded by a hash of (s, b):

    noise[64 b : 64 (b + 1)] = normal(generator(hash(s, b)))

so a draw of n rows is a prefix of a draw of n + m rows, does not depend on `batch_size`, and is the same on every
device (noise is always drawn on the CPU). Nothing here reads or moves the global generator; `seeded` forks it for
code that cannot be told otherwise (layer initialisation, dropout).

>>> import torch
>>> torch.equal(Rows(seed=0, n=10).normal(3), Rows(seed=0, n=200).normal(3)[:10])
True
>>> torch.equal(Rows(seed=0, n=20, start=90).uniform(), Rows(seed=0, n=200).uniform()[90:110])
True
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from fairway.core import parallel

BLOCK = 64
Seed = int | torch.Generator | None
_MASK = (1 << 64) - 1


def seed_of(generator: Seed) -> int:
    """An integer seed from a seed, a generator (advanced by one draw) or None (fresh entropy).

    Raises:
        TypeError: anything else.
    """
    if generator is None:
        return secrets.randbits(63)
    if isinstance(generator, torch.Generator):
        return int(torch.randint(0, 2**62, (), generator=generator, device=generator.device))
    if isinstance(generator, int) and not isinstance(generator, bool):
        return generator
    raise TypeError(f"expected generator as a torch.Generator, an int seed or None, got {type(generator).__name__}")


def mix(*numbers: int) -> int:
    """A 63-bit hash of integers (the finaliser of splitmix64, chained): nearby seeds give unrelated streams."""
    state = 0x9E3779B97F4A7C15
    for number in numbers:
        state = (state ^ (number & _MASK)) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state >> 1


def generator_for(*numbers: int) -> torch.Generator:
    """A CPU generator seeded by the hash of the numbers."""
    return torch.Generator().manual_seed(mix(*numbers))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Fork torch's global generators, seed them, and give them back untouched.

    The generators are seeded themselves: `torch.manual_seed` also formats a stack trace for every kind of device that
    is not there, which costs more than a small training step.
    """
    before = [(generator, generator.get_state()) for generator in _global_generators()]
    try:
        for generator, _ in before:
            generator.manual_seed(seed)
        yield
    finally:
        for generator, state in before:
            generator.set_state(state)


def _global_generators() -> list[torch.Generator]:
    """The processor's, and one per accelerator."""
    if torch.cuda.is_available():
        torch.cuda.init()
    return [torch.default_generator, *torch.cuda.default_generators]


class Rows:
    """Noise for rows start, ..., start + n - 1 of a draw, in seeded blocks.

    Args:
        seed: the seed of the whole draw.
        n: number of rows here.
        start: the global index of the first row.
        dtype, device: of the noise returned.
        shared_by: number of processes that hold one batch together, each as many rows as this one.
    """

    def __init__(
        self,
        seed: int,
        n: int,
        start: int = 0,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        shared_by: int = 1,
    ) -> None:
        self.seed, self.n, self.start, self.dtype, self.device = seed, n, start, dtype, torch.device(device)
        self.shared_by = shared_by
        self._generators: list[torch.Generator] | None = None

    def normal(self, *shape: int) -> Tensor:
        """Standard normal noise (n, *shape)."""
        return self._draw(torch.randn, shape)

    def uniform(self, *shape: int) -> Tensor:
        """Uniform noise in [0, 1), (n, *shape)."""
        return self._draw(torch.rand, shape)

    def integers(self, high: int, *shape: int) -> Tensor:
        """Integers 0, ..., high - 1, (n, *shape), int64."""
        uniform = self._draw(torch.rand, shape, torch.float64)
        return (uniform * high).long().clamp_(max=high - 1)

    def ahead(self, law: str, count: int, *shape: int) -> Tensor:
        """What `count` calls of `normal` or `uniform` would give one after the other, at once: (count, n, *shape)."""
        draw = {"normal": torch.randn, "uniform": torch.rand}[law]
        if count == 1:
            return self._draw(draw, shape).unsqueeze(0)
        blocks = [draw(count, BLOCK, *shape, generator=g, dtype=self.dtype) for g in self._block_generators()]
        skip = self.start % BLOCK
        whole = torch.cat(blocks, 1) if len(blocks) > 1 else blocks[0]
        return whole[:, skip : skip + self.n].to(self.device)

    def spawn(self, *keys: int) -> "Rows":
        """An unrelated stream for the same rows (a second source of noise, a later step)."""
        return Rows(mix(self.seed, *keys), self.n, self.start, self.dtype, self.device, self.shared_by)

    @property
    def batch(self) -> int:
        """Rows of the batch that these are a share of (n in one process)."""
        return self.n * self.shared_by

    def share(self, whole: Tensor) -> Tensor:
        """These rows of a tensor about the whole batch (`batch`, ...)."""
        return whole[self.start : self.start + self.n] if self.shared_by > 1 else whole

    def gathered(self, x: Tensor) -> Tensor:
        """The rows (n, ...) of every process that shares the batch, (`batch`, ...), without gradient."""
        return parallel.gathered(x) if self.shared_by > 1 else x

    def in_step(self, x: Tensor) -> Tensor:
        """A mean over these rows as the mean over the batch, with the gradient of these rows' part."""
        return parallel.in_step(x) if self.shared_by > 1 else x

    def shared(self, *keys: int) -> torch.Generator:
        """One generator for what couples the rows (a permutation, a resampling); depends on the seed alone."""
        return generator_for(self.seed, -1, *keys)

    def _draw(self, law: Callable[..., Tensor], shape: tuple[int, ...], dtype: torch.dtype | None = None) -> Tensor:
        generators = self._block_generators()
        noise = torch.empty(len(generators) * BLOCK, *shape, dtype=dtype or self.dtype)
        for generator, block in zip(generators, noise.split(BLOCK), strict=True):
            law(block.shape, generator=generator, out=block)
        skip = self.start % BLOCK
        return noise[skip : skip + self.n].to(self.device)

    def _block_generators(self) -> list[torch.Generator]:
        """The generators of the blocks that these rows lie in, each where its last draw left it."""
        if self._generators is None:
            first, last = self.start // BLOCK, max(self.start + self.n - 1, self.start) // BLOCK
            self._generators = [generator_for(self.seed, block) for block in range(first, last + 1)]
        return self._generators
