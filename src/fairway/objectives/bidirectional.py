"""The bidirectional game: the critic judges pairs of an observation and its latent (BiGAN and ALI, 2017).

    p(u, z) = p_data(u) delta(z - E(u))             data and what the encoder E makes of them
    q(u, z) = N(z; 0, I) delta(u - g(z))            noise and what the generator g makes of it

    min_{g, E} max_d  E_p log sigma(d(u, z)) + E_q log(1 - sigma(d(u, z)))  =  2 JS(p, q) - log 4     at the best d

The two laws are equal only where E(g(z)) = z and g(E(u)) = u almost everywhere, with no cost of reconstruction: an
encoder that does not invert the generator leaves pairs that occur under one law alone (Donahue, Kraehenbuehl and
Darrell 2017, theorem 2). The encoder moves what the critic says of data, r = d(u, E(u)), the generator what it says of
fakes, f = d(g(z), z). The losses of `critic_losses` are the generator's, of f alone; the encoder's is its mirror image:

    non_saturating, smoothed   softplus(-f) + softplus(r)                labels exchanged
    minimax                    -softplus(f) - softplus(-r)               the value itself
    wasserstein, hinge         r - f
    least_squares              (f - 1)^2 / 2 + r^2 / 2                   labels exchanged
    relativistic               softplus(r - f)                           sees both as it is
    f-divergences              g_f(r) - f*(g_f(f))                       the bound itself

A penalty is on the critic's slope over the pair (u, z), so that "wasserstein" is the distance between joint laws; what
else it is told, a context, is held fixed. Further source: Dumoulin et al. 2017, Adversarially Learned Inference.
Shapes: u (B, *U), z (B, *Z), context (B, ...) or none, r and f (B,).
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fairway.core.capability import HasLatent
from fairway.core.objective import Batch
from fairway.networks.joined import joined
from fairway.objectives.adversarial import Adversarial, Shown, _both
from fairway.objectives.critic_losses import DIVERGENCES, Divergence
from fairway.objectives.critic_penalties import between, logits_and_slopes, slopes
from fairway.objectives.f_gan import F_GANS


def _itself(real: Tensor) -> Tensor:
    return real


# what an encoder minimises of r = d(u, E(u)), (B,) -> (B,)
ENCODERS: dict[str, Callable[[Tensor], Tensor]] = {
    "wasserstein": _itself,
    "non_saturating": F.softplus,
    "minimax": lambda real: -F.softplus(-real),
    "smoothed": F.softplus,
    "hinge": _itself,
    "least_squares": lambda real: 0.5 * real.square(),
    "relativistic": torch.zeros_like,  # the generator's loss has it
    **{name: law.activation for name, law in F_GANS.items()},
}


def two_sided(divergence: str) -> Divergence:
    """The game of that name, whose second player moves real logits, too.

    Args:
        divergence: a name of DIVERGENCES.

    >>> two_sided("wasserstein").generator(torch.tensor([2.0]), torch.tensor([5.0]))  # r - f
    tensor([3.])
    """
    game, encoder = DIVERGENCES[divergence], ENCODERS[divergence]
    return Divergence(game.critic, lambda fake, real: game.generator(fake, real) + encoder(real), both=True)


class Bidirectional(Adversarial):
    """A critic of pairs (u, E(u)) and (g(z), z); generator and encoder move together, as the player "model".

    A critic is told the latent as its context, joined with the context where there is one: any that takes a context
    vector will do.

    Args: as `Adversarial`.

    Raises:
        CapabilityError: a model without an encoder.
    """

    requires = (HasLatent,)

    def setup(self, model: Any) -> None:
        super().setup(model)
        self.latent_dims: int = model.latent_event.dims
        self.divergence = self.game()

    def game(self) -> Divergence:
        """What the players minimise."""
        return two_sided(self.arguments["divergence"])

    def context_dims(self, model: Any) -> int:
        return int(model.latent_event.dims) + super().context_dims(model)

    def shown(self, batch: Batch, model: Any, noise: Tensor) -> tuple[Shown, Shown]:
        real, fake = super().shown(batch, model, noise)
        code = model._encode(batch.u, batch.context)
        return Shown(real.u, joined(code, real.context)), Shown(fake.u, joined(noise, fake.context))

    # -- slopes over pairs ----------------------------------------------------------------------------------------
    def _penalised(self, real: Shown, fake: Shown, uniforms: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        shape, count = real.u.shape[1:], len(real.u)

        def judge(pair: Tensor, told: Tensor | None) -> Tensor:
            entries = shape.numel()
            answer: Tensor = self.critic(pair[:, :entries].unflatten(1, shape), joined(pair[:, entries:], told))  # type: ignore[misc]
            return answer

        if self.penalty.at == "between":
            assert uniforms is not None
            (a, told), (b, _) = self._pair(real), self._pair(fake)
            return *self.logits(real, fake), self.penalty.cost(slopes(judge, between(a, b, uniforms), told))
        sides = [Shown(*_both(real, fake))] if self._together else [real, fake]
        answers = [logits_and_slopes(judge, *self._pair(side)) for side in sides]
        logits = torch.cat([logit for logit, _ in answers])
        cost = torch.cat([self.penalty.cost(slope) for _, slope in answers])
        on_real, on_fake = cost[:count], cost[count:]
        total = {"real": on_real, "fake": on_fake, "both": on_real + on_fake}[self.penalty.at]
        return logits[:count], logits[count:], total

    def _pair(self, side: Shown) -> tuple[Tensor, Tensor | None]:
        """[u, z] (B, entries of both), and the context (B, ...) that came with it."""
        assert side.context is not None
        latent, rest = side.context[:, : self.latent_dims], side.context[:, self.latent_dims :]
        return joined(side.u, latent), rest if rest.shape[1] else None
