"""Learning to translate both ways from two samples that do not pair up (Zhu, Park, Isola and Efros 2017).

    there g: a -> b,  back h: b -> a,  and a critic of each law, shown what the other's generator makes:

    min_{d_B, d_A}  E[critic(d_B(b), d_B(g(a)))] + E[critic(d_A(a), d_A(h(b)))]
    min_{g, h}      2 E[generator(d_B(g(a)))] + 2 E[generator(d_A(h(b)))]
                    + lambda (E |h(g(a)) - a| + E |g(h(b)) - b|)  +  mu (E |g(b) - b| + E |h(a) - a|)

Two laws have many maps from one to the other; those that lose nothing on the way there and back (lambda) and leave
alone what is there already (mu) are fewer: no more is promised. |.| is the mean absolute error per entry, in model
units. Critics see half of the fakes from a pool of earlier ones (`image_pool`). Rows of a batch are never compared with
one another: `fit(..., paired=False)` may give samples of different lengths. The 2 is the paper's: its critics minimise
half of a square, its generators a whole one. Shapes: b = u (B, *U), a = context (B, *C).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fairway.core.capability import CapabilityError, HasDecoder
from fairway.core.objective import Batch, Loss, Objective, Optimisation, Phase
from fairway.core.random import Rows
from fairway.objectives.adversarial import Adversarial, Shown, per_row
from fairway.objectives.image_pool import ImagePool
from fairway.samplers.mcmc import frozen


class Cycle(Objective):
    """Two adversaries, and that there and back again is where one was.

    Args:
        cycle: lambda, weight of the error after a round trip.
        identity: mu, weight of the change to what is of the wanted law already; 0 where both have other channels.
        pool: fakes that each critic remembers; the paper's number goes with batches of one row.
        divergence, penalty, weight, critic_hidden: of both adversaries, see `Adversarial`.

    Raises:
        ValueError: a negative weight or number; (at setup) an identity between images of different channels.
        CapabilityError: (when checked) a model that does not translate back.
    """

    requires = (HasDecoder,)
    monitor = None
    stops_early = False
    batch_size = 16
    shown_in_progress = ("accuracy", "cycle")
    traceable = False  # fakes go through a pool that rows share
    matched = False  # a row and its context may be of two samples
    optimisation: Optimisation = Adversarial.optimisation  # type: ignore[misc]

    def __init__(
        self,
        cycle: float = 10.0,
        identity: float = 5.0,
        pool: int = 50,
        divergence: str = "least_squares",
        penalty: str = "none",
        weight: float | Sequence[float] = 10.0,
        critic_hidden: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if not (cycle >= 0 and identity >= 0 and pool >= 0):
            raise ValueError(f"expected cycle, identity and pool of at least 0, got {cycle}, {identity}, {pool}")
        self.cycle, self.identity, self.pool, self.critic_hidden = cycle, identity, pool, critic_hidden
        self.games = nn.ModuleList(
            Adversarial(divergence, penalty, weight, critic_steps=1, critic_hidden=critic_hidden) for _ in range(2)
        )

    def reach(self, share: float) -> None:
        for game in self.games:
            game.reach(share)  # type: ignore[operator]

    # -- who plays ----------------------------------------------------------------------------------------------
    def check(self, model: Any) -> None:
        super().check(model)
        if not hasattr(model, "_decode_back"):
            raise CapabilityError(
                f"the objective {self.name()} needs a model that translates both ways, such as cycle_gan; "
                f"got {model.name()}"
            )

    def setup(self, model: Any) -> None:
        dims = [way.model_event.dims for way in (model, model.reverse)]
        if self.identity and dims[0] != dims[1]:
            raise ValueError(
                f"expected images of as many channels on both sides for an identity, got {dims[0]} and {dims[1]} "
                "entries: pass identity=0"
            )
        for game, way in zip(self.games, (model, model.reverse), strict=True):
            game.critic = way.default_critic(self.critic_hidden, 0)
        self.pools = nn.ModuleList(ImagePool(self.pool, entries) for entries in dims)
        self.optimisation = getattr(model, "optimisation", self.optimisation)  # both players move alike

    def phases(self, model: Any) -> tuple[Phase, ...]:
        return (Phase("critic"), Phase("model"))

    def players(self, model: Any) -> dict[str, nn.Module]:
        return {"model": model, "critic": self.games}

    # -- what they play -----------------------------------------------------------------------------------------
    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        if phase.player == "model":
            return self._generators(batch, model, generator)
        with torch.no_grad():
            fakes = self._translated(batch, model, generator)
        sides = zip(self.games, self.pools, self._sides(batch), fakes, strict=True)
        losses = [self._judged(*side, batch, generator.spawn(3, number)) for number, side in enumerate(sides)]
        terms = {name: torch.stack([loss.terms[name] for loss in losses]).mean() for name in losses[0].terms}
        return Loss(losses[0].total + losses[1].total, terms)

    def _judged(self, game: Any, pool: Any, real: Tensor, fake: Tensor, batch: Batch, rows: Rows) -> Loss:
        """A critic's loss on its law's data, and on fakes of now and before."""
        sides = Shown(real, None), Shown(pool.exchange(fake, rows), None)
        judged: Loss = game.critic_loss(batch, *sides, game.uniforms(rows))
        return judged

    def _generators(self, batch: Batch, model: Any, rows: Rows) -> Loss:
        """What the critics make of the fakes, and the errors of round trips and of what should stay."""
        b, a = reals = self._sides(batch)
        fakes = fake_b, fake_a = self._translated(batch, model, rows)
        with frozen(self.games):
            sides = zip(self.games, reals, fakes, strict=True)
            pleased = [_pleased(game, batch, *pair) for game, *pair in sides]
        z, back = self._noise(model, rows.spawn(1))
        again = _error(batch, model._decode_back(back, fake_b), a) + _error(batch, model._decode(z, fake_a), b)
        terms = {"generator": 2 * (pleased[0] + pleased[1]), "cycle": self.cycle * again}
        if self.identity:
            z, back = self._noise(model, rows.spawn(2))
            as_a, as_b = b.reshape(a.shape), a.reshape(b.shape)
            kept = _error(batch, model._decode(z, as_a), b) + _error(batch, model._decode_back(back, as_b), a)
            terms["identity"] = self.identity * kept
        return Loss(torch.stack(list(terms.values())).sum(), terms)

    def _sides(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """What the critics are shown of the data: of the event, and of the context."""
        if batch.context is None:
            raise ValueError("expected a context, an image of the other law: got none")
        return batch.u, batch.context

    def _translated(self, batch: Batch, model: Any, rows: Rows) -> tuple[Tensor, Tensor]:
        """Fakes of the event's law and of the context's."""
        (b, a), (z, back) = self._sides(batch), self._noise(model, rows)
        return model._decode(z, a), model._decode_back(back, b)

    def _noise(self, model: Any, rows: Rows) -> tuple[Tensor, Tensor]:
        """For a translation there, and for one back."""
        there, back = rows.normal(2, *model.latent_event.shape).unbind(1)
        return there, back


def _pleased(game: Any, batch: Batch, real: Tensor, fake: Tensor) -> Tensor:
    """The generator's cost of one adversary."""
    cost: Tensor = game.pleased(batch, Shown(real, None), Shown(fake, None))
    return cost


def _error(batch: Batch, made: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute error per entry."""
    return batch.mean(per_row((made - wanted).abs()))
