"""A classifier is an energy model of what it classifies: K logits are a joint density of point and class.

    p(u, y) = exp(g(u)[y]) q(u) / Z,     g: (B, D) -> (B, K),  q as in `EBM`,  one Z for all classes

    p(y | u)      = softmax(g(u))[y]                                 the classifier, as always
    log p(u)      = logsumexp_y g(u)[y] + log q(u) - log Z           `marginal_energy`
    log p(u | y)  = g(u)[y] + log q(u) - log Z_y,  Z_y = Z p(y)      `energy(x, y)`, whose constant differs per class

A classifier alone leaves a function of u free that is added to all its logits; here it is the data's log density
(Grathwohl et al. 2020, Your Classifier is Secretly an Energy Based Model and You Should Treat it Like One, eq. 5-8).
Energies of one point compare classes: energy(x, y) = -log p(x, y) - log Z. Of two points in one class they compare
densities. p(y) is what the model says, not a parameter: p(y) = E p(y | u).

The chains that trained log p(u) serve all classes: those taken with probability proportional to p(y | chain) are draws
from p(u | y) = p(u) p(y | u) / p(y), and a draw given y goes on from one of them.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from fairway.core.event import Event
from fairway.core.model import Case, Model
from fairway.core.objective import Objective
from fairway.core.random import Rows
from fairway.models.energy.energy import EBM, perceptron
from fairway.networks.joined import joined
from fairway.objectives.joint_energy import JointEnergy

TINY = {"hidden": (16, 16), "chain_steps": 20}
CLASSES = Event((), "category", levels=3)


class Joint(EBM):
    """A classifier with K logits as the density exp(g(u)[y]) q(u) / Z of points and classes.

    Args:
        event: what is modelled. context_event: the classes, one label a row.
        hidden, chain_steps, reference: as for `EBM`.
        network: your own classifier (B, D) -> (B, K) in place of the default.

    Raises:
        ValueError: no classes.

    >>> model = Joint(Event((2,)), CLASSES, hidden=(8,)).eval()
    >>> model.classify(torch.zeros(5, 2)).shape, model.marginal_energy(torch.zeros(5, 2)).shape
    (torch.Size([5, 3]), torch.Size([5]))
    """

    accepts_context = ("category",)
    cites = ("grathwohl2020jem",)
    tiny: ClassVar[list[Case]] = [
        Case(Event((2,)), CLASSES, TINY),
        Case(Event((1, 2, 2), "bounded", low=0.0, high=1.0), CLASSES, TINY),
        Case(Event((2, 2), "integer", low=0, high=3), CLASSES, TINY),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        hidden: Sequence[int] = (256, 256, 256),
        chain_steps: int = 200,
        reference: str | Model | None = None,
        network: nn.Module | None = None,
    ) -> None:
        classes = 0 if context_event is None else context_event.levels or 0
        network = network or perceptron(event.dims, classes or 1, hidden)
        super().__init__(event, context_event, chain_steps=chain_steps, reference=reference, network=network)
        self.classes = classes

    def _check_events(self, event: Event, context_event: Event | None) -> None:
        super()._check_events(event, context_event)
        if context_event is None or context_event.shape:
            raise ValueError(
                f"joint classifies: expected context as one label a row, whole numbers (n,), got {context_event}; "
                "without labels take ebm"
            )

    def default_objective(self) -> Objective:
        return JointEnergy()

    # -- what a classifier is asked -----------------------------------------------------------------------------
    def classify(self, x: Any, *, batch_size: int | None = None) -> Tensor:
        """p(y | x): (*L, *E) in data units -> (*L, K) probabilities; counted data at the centre of their cell."""
        return self._over_rows(
            lambda x, label, start: self._logits(self._to_model(x)[0]).softmax(1), x, self._any_label(), batch_size
        )

    def marginal_energy(self, x: Any, *, batch_size: int | None = None) -> Tensor:
        """-log p(x) up to one constant, whatever the class: (*L,) nats, data units; high where x is unlike the data."""
        return -self._over_rows(
            lambda x, label, start: self._log_unnorm_rows(x, None, start), x, self._any_label(), batch_size
        )

    def _any_label(self) -> Tensor:
        """One label for all rows, where the answer does not depend on it."""
        return torch.zeros((), dtype=torch.int64)

    # -- hooks --------------------------------------------------------------------------------------------------
    def _logits(self, u: Tensor) -> Tensor:
        """g(u) (B, K).

        Raises:
            ValueError: a network whose output is not one number a class.
        """
        logits: Tensor = self.network(joined(u))
        if logits.shape != (len(u), self.classes):
            raise ValueError(
                f"expected a network (B, {self.model_event.dims}) -> (B, {self.classes}), one logit a class, "
                f"got {tuple(logits.shape)}"
            )
        return logits

    def _tilt(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        """g(u)[y] (B,), the class as a unit vector (B, K); without one, of the marginal: logsumexp_y g(u)[y]."""
        logits = self._logits(u)
        return logits.logsumexp(1) if context is None else (logits * joined(context)).sum(1)

    def _value_and_score(self, u: Tensor, context: Tensor | None = None) -> None:
        """Not known without a graph."""
        return None

    def _chains(self, context: Tensor | None, rows: Rows) -> Tensor:
        """A chain of the marginal, taken by the probability of its being of the class."""
        if not len(self.chains) or context is None:
            return super()._chains(None, rows)
        with torch.no_grad():
            chance = joined(context).double() @ self._logits(self.chains).double().softmax(1).T
        cumulated = chance.cumsum(1)
        wanted = rows.uniform().double().unsqueeze(1) * cumulated[:, -1:]
        return self.chains[(wanted > cumulated).sum(1).clamp(max=len(self.chains) - 1)]
