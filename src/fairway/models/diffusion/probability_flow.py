"""The probability flow as a map: every observation has one point of noise, and every point of noise one observation.

    dw/ds = f(w, s),   u = c w(s_0)   data,   z = w(s_1)   noise of scale 1
    encode   from s_0 to s_1                     decode   the same steps from s_1 to s_0
    density  log p(u) = log p_Z(z) + integral over s of tr(df/dw) - D log c                    of the same field

s is the variable in which the path is smooth: the angle of a denoiser (see `denoiser`), t of a velocity. p_Z is N(0, I)
unless the flow ends elsewhere. A step of Runge and Kutta is off by e h^5 on its way there and by e (-h)^5 on its way
back: one way the error is O(h^4), there and back O(h^5). A grid that is fixed keeps rows apart from their neighbours.
Shapes: u, w, z (B, *U), model units. Source: Song et al. 2021, section 4.3 and appendix D.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from fairway.core.capability import HasLatent, HasVelocity
from fairway.core.event import Event
from fairway.core.ode import Field, grid, integrate, integrate_with_ladj
from fairway.core.random import Rows


@dataclass(frozen=True)
class Course:
    """The way from data to noise.

    Args:
        slope: (w (B, *U), s scalar, context (B, ...) or None) -> dw/ds (B, *U).
        first, last: s at the data and at the noise.
        scale: c, of u = c w at the data.
    """

    slope: Callable[[Tensor, Tensor, Tensor | None], Tensor]
    first: float
    last: float
    scale: float

    def field(self, context: Tensor | None) -> Field:
        """dw/ds for rows with these contexts."""
        return lambda w, s: self.slope(w, s, context)

    def grid(self, steps: int, like: Tensor) -> Tensor:
        """(steps + 1,) equal steps from the data to the noise."""
        return grid(self.first, self.last, steps, like)


class FlowLatent(HasLatent, HasVelocity):
    """A velocity whose flow encodes, decodes and gives the density; subclasses may choose another course than t."""

    latent_steps: ClassVar[int] = 90  # there and back within 2e-5 of where trained networks and test mixtures started

    @property
    def latent_event(self) -> Event:
        """The noise, in the shape of the event."""
        return Event(self.model_event.shape)

    def _course(self) -> Course:
        """Along t, in model units."""
        return Course(lambda u, t, context: self._velocity(u, t.expand(len(u)), context), 0.0, 1.0, 1.0)

    def _log_base(self, z: Tensor) -> Tensor:
        """(B, *U) -> (B,): log density of the noise at the end of the course."""
        return self._log_prior(z)

    def _encode(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        course = self._course()
        return integrate(course.field(context), u / course.scale, course.grid(self.latent_steps, u))

    def _decode(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        course = self._course()
        return integrate(course.field(context), z, course.grid(self.latent_steps, z).flip(0)) * course.scale

    def _log_prob(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        return self._log_prob_estimate(u, context, None)

    def _log_prob_estimate(self, u: Tensor, context: Tensor | None, rows: Rows | None) -> Tensor:
        course = self._course()
        points = course.grid(self.density_steps, u)
        end, ladj = integrate_with_ladj(course.field(context), u / course.scale, points, rows=rows)
        return self._log_base(end) + ladj - u[0].numel() * math.log(course.scale)
