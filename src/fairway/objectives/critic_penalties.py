"""What keeps a critic smooth: a cost of its slope s = grad_u d(u), per row, at points that the penalty chooses.

    gradient   (|s| - 1)^2      between a real and a fake row, at e real + (1 - e) fake, e ~ U[0, 1) per row
    r1, r2     |s|^2 / 2        at real rows; at fake rows
    r1_r2      both
    clip       no cost of the slope: every weight of the critic is held within +- c (Arjovsky et al. 2017)

Gulrajani et al. 2017 hold the slope at 1, that of the best 1-Lipschitz critic almost everywhere on such segments; the
norm is over one row's entries and averaged over rows, so that a linear critic w pays (|w| - 1)^2 at any batch size.
Zero-centred penalties (Mescheder et al. 2018; both sides in Huang et al. 2024) make the game converge near its
equilibrium, where the critic must be flat on the data. At rows that the critic is shown anyway its slope comes with the
same pass.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fairway.core.numerics import expand_as_rows, gradient

Critic = Callable[[Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Penalty:
    """A cost of the critic's slope.

    Args:
        cost: slopes (B, *U) -> (B,).
        at: "between" the real and the fake row, "real", "fake", "both"; "weights" for a bound on them, or "none".
    """

    cost: Callable[[Tensor], Tensor]
    at: str


def unit_slope(slope: Tensor) -> Tensor:
    """(B, *U) -> (B,): (|s| - 1)^2."""
    return (slope.flatten(1).norm(dim=1) - 1).square()


def flat(slope: Tensor) -> Tensor:
    """(B, *U) -> (B,): |s|^2 / 2."""
    return 0.5 * slope.flatten(1).square().sum(1)


def free(slope: Tensor) -> Tensor:
    """(B, *U) -> (B,) zeros."""
    return slope.new_zeros(len(slope))


def slopes(critic: Critic, u: Tensor, context: Tensor | None) -> Tensor:
    """(B, *U): the critic's gradient at each row, itself differentiable (no batch statistics in the critic)."""
    if (known := _written_out(critic, u, context)) is not None:
        return known[1]
    return gradient(lambda point: critic(point, context).sum(), u.detach())


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor, context: Tensor | None, uniforms: Tensor) -> Tensor:
    """(B,): (|grad critic| - 1)^2 at one point on each segment between a real and a fake row.

    Args:
        critic: (u, context) -> (B,) logits, one row at a time (no batch statistics).
        real, fake: (B, *U).
        context: (B, ...), held fixed.
        uniforms: (B,) in [0, 1), where on the segment.
    """
    return unit_slope(slopes(critic, between(real, fake, uniforms), context))


def between(real: Tensor, fake: Tensor, uniforms: Tensor) -> Tensor:
    """(B, *U): one point on each segment."""
    share = expand_as_rows(uniforms, real)
    return share * real + (1 - share) * fake


def logits_and_slopes(critic: Critic, u: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
    """The critic (B,) and its gradient (B, *U), both differentiable in its weights, from one pass."""
    if (known := _written_out(critic, u, context)) is not None:
        return known
    if torch.compiler.is_compiling():  # traces no autograd.grad

        def both(point: Tensor) -> tuple[Tensor, Tensor]:
            values = critic(point, context)
            return values.sum(), values

        slope, logits = torch.func.grad(both, has_aux=True)(u.detach())
        return logits, slope
    u = u.detach().requires_grad_()
    logits = critic(u, context)
    return logits, torch.autograd.grad(logits.sum(), u, create_graph=True)[0]


def _written_out(critic: Critic, u: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor] | None:
    """Both, of a critic that knows a shorter way (`value_and_slope`), where only its weights are to learn of them."""
    own = getattr(critic, "value_and_slope", None)
    if own is None or (context is not None and context.requires_grad):
        return None
    found: tuple[Tensor, Tensor] | None = own(u.detach(), context)
    return found


PENALTIES = {
    "none": Penalty(free, "none"),
    "gradient": Penalty(unit_slope, "between"),
    "r1": Penalty(flat, "real"),
    "r2": Penalty(flat, "fake"),
    "r1_r2": Penalty(flat, "both"),
    "clip": Penalty(free, "weights"),
}
