"""One Gaussian: the density every other must beat.

Maximum likelihood in closed form: m = mean of the data, S = their covariance; as the mixture with one component, whose
EM is that formula in one step.
"""

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.core.objective import Solver
from fairway.models.classical.mixture import GMM, Covariance
from fairway.objectives.em import EM


class Gaussian(GMM):
    """A Gaussian with full, diagonal or spherical covariance.

    >>> Gaussian(Event((2,))).sample(5, generator=0).shape
    torch.Size([5, 2])
    """

    cites = ("bishop2006prml",)
    tiny = [Case(Event((2,))), Case(Event((2, 2), "integer", low=0, high=5)), Case(Event((2,), missing=True))]

    def __init__(self, event: Event, context_event: Event | None = None, *, covariance: Covariance = "full") -> None:
        super().__init__(event, context_event, components=1, covariance=covariance)

    def default_objective(self) -> Solver:
        return EM(prior=0.0)
