"""Two-dimensional laws that can be drawn in a few lines and judged by eye.

Rows are independent draws, float32, of shape (n, 2); where the law is a mixture of classes, the labels (n,) say which
class a row came from. Each function draws from a generator of its own, so the same seed gives the same rows.

==============  ==========================================================================  ======
name            law                                                                          labels
==============  ==========================================================================  ======
moons           two half circles of radius 1, the second upside down at (1, 1/2)             2
circles         two circles around 0, radii 1 and 1/2                                        2
ring            8 narrow Gaussians on a circle of radius 2                                   8
grid            25 narrow Gaussians at {-4, -2, 0, 2, 4}^2                                   25
checkerboard    uniform on the 8 black squares of side 2 in [-4, 4]^2: entropy log 32 nats   -
pinwheel        5 arms, each a Gaussian bent by its distance from 0                          5
swiss_roll      t (cos t, sin t) / 5 for t uniform in [3 pi / 2, 9 pi / 2]                   -
spirals         two spirals, opposite each other, 1.5 turns                                  2
==============  ==========================================================================  ======

>>> moons(100).x.shape
torch.Size([100, 2])
"""

import math

import torch
from torch import Generator, Tensor

from fairway.core.event import Event
from fairway.data.dataset import Dataset


def moons(n: int = 10_000, seed: int = 0, noise: float = 0.1) -> Dataset:
    """Two interleaved half circles of radius 1, plus Gaussian noise of standard deviation `noise`.

    Raises:
        ValueError: n < 1.
    """
    generator, label = _start(n, seed, classes=2)
    angle = math.pi * torch.rand(n, generator=generator)
    upper = torch.stack([angle.cos(), angle.sin()], 1)
    lower = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], 1)
    return _toy("moons", _noisy(torch.where(label[:, None] == 0, upper, lower), noise, generator), label)


def circles(n: int = 10_000, seed: int = 0, noise: float = 0.05) -> Dataset:
    """Circles of radius 1 (class 0) and 1/2 (class 1) around 0, plus Gaussian noise.

    Raises:
        ValueError: n < 1.
    """
    generator, label = _start(n, seed, classes=2)
    angle = 2 * math.pi * torch.rand(n, generator=generator)
    return _toy("circles", _noisy(_polar(1 - 0.5 * label, angle), noise, generator), label)


def ring_centres() -> Tensor:
    """The 8 centres of `ring`, (8, 2), class by class.

    >>> ring_centres()[0]
    tensor([2., 0.])
    """
    return _polar(torch.full((8,), 2.0), 2 * math.pi * torch.arange(8) / 8)


def ring(n: int = 10_000, seed: int = 0, noise: float = 0.02) -> Dataset:
    """8 Gaussians of standard deviation `noise` on a circle of radius 2: do all modes survive?

    References:
        Metz, Poole, Pfau and Sohl-Dickstein (2017), Unrolled generative adversarial networks, arXiv:1611.02163.

    Raises:
        ValueError: n < 1.
    """
    generator, label = _start(n, seed, classes=8)
    return _toy("ring", _noisy(ring_centres()[label], noise, generator), label)


def grid_centres() -> Tensor:
    """The 25 centres of `grid`, (25, 2), class by class.

    >>> grid_centres()[12]
    tensor([0., 0.])
    """
    return torch.cartesian_prod(*2 * [torch.arange(-4.0, 5.0, 2.0)])


def grid(n: int = 10_000, seed: int = 0, noise: float = 0.05) -> Dataset:
    """25 Gaussians of standard deviation `noise` on a grid of spacing 2.

    References:
        Srivastava et al. (2017), VEEGAN: reducing mode collapse in GANs, arXiv:1705.07761.

    Raises:
        ValueError: n < 1.
    """
    generator, label = _start(n, seed, classes=25)
    return _toy("grid", _noisy(grid_centres()[label], noise, generator), label)


def checkerboard(n: int = 10_000, seed: int = 0) -> Dataset:
    """Uniform on the squares of side 2 in [-4, 4]^2 whose column and row numbers have an even sum; density 1 / 32.

    Raises:
        ValueError: n < 1.
    """
    generator, column = _start(n, seed, classes=4)
    row = 2 * torch.randint(2, (n,), generator=generator) + column % 2
    corner = 2.0 * torch.stack([column, row], 1) - 4
    return _toy("checkerboard", corner + 2 * torch.rand(n, 2, generator=generator), None)


def pinwheel(n: int = 10_000, seed: int = 0, noise: float = 0.1) -> Dataset:
    """5 arms: Gaussians at radius 1 (deviations 0.3 along, `noise` across), turned by exp(radius) / 4, twice as large.

    References:
        Johnson, Duvenaud, Wiltschko, Datta and Adams (2016), Composing graphical models with neural networks,
        arXiv:1603.06277.

    Raises:
        ValueError: n < 1.
    """
    generator, label = _start(n, seed, classes=5)
    along, across = torch.randn(n, 2, generator=generator).unbind(1)
    along, across = 1 + 0.3 * along, noise * across
    angle = 2 * math.pi * label / 5 + 0.25 * along.exp()
    x = along * angle.cos() - across * angle.sin()
    y = along * angle.sin() + across * angle.cos()
    return _toy("pinwheel", 2 * torch.stack([x, y], 1), label)


def swiss_roll(n: int = 10_000, seed: int = 0, noise: float = 0.1) -> Dataset:
    """A spiral t (cos t, sin t) / 5, t uniform in [3 pi / 2, 9 pi / 2], plus Gaussian noise.

    Raises:
        ValueError: n < 1.
    """
    generator, _ = _start(n, seed, classes=1)
    angle = 1.5 * math.pi * (1 + 2 * torch.rand(n, generator=generator))
    return _toy("swiss_roll", _noisy(_polar(angle / 5, angle), noise, generator), None)


def spirals(n: int = 10_000, seed: int = 0, noise: float = 0.1) -> Dataset:
    """Two spirals t (cos t, sin t) / 3 and its opposite, t = 3 pi sqrt(uniform), plus Gaussian noise.

    Raises:
        ValueError: n < 1.
    """
    generator, label = _start(n, seed, classes=2)
    angle = 3 * math.pi * torch.rand(n, generator=generator).sqrt()
    return _toy("spirals", _noisy(_polar(angle / 3, angle + math.pi * label), noise, generator), label)


def _start(n: int, seed: int, classes: int) -> tuple[Generator, Tensor]:
    """A seeded generator and the first thing drawn from it: the class of each row, uniform."""
    if n < 1:
        raise ValueError(f"expected n >= 1 rows, got {n}")
    generator = Generator().manual_seed(seed)
    return generator, torch.randint(classes, (n,), generator=generator)


def _polar(radius: Tensor, angle: Tensor) -> Tensor:
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1)


def _noisy(x: Tensor, noise: float, generator: Generator) -> Tensor:
    return x + noise * torch.randn(x.shape, generator=generator)


def _toy(name: str, x: Tensor, labels: Tensor | None) -> Dataset:
    return Dataset(x.float(), Event((2,)), labels=labels, name=name, source=name)
