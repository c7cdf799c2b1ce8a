"""Unrolled GAN: the GAN whose generator foresees the critic's next moves (Metz et al. 2017).

    min_g  -E log sigma(d_k(g(z))),        d_k: the critic, k gradient steps against this generator later

The game of `gan`, in which another critic judges and the one that learns is slow; see `objectives.unrolled`.
"""

from collections.abc import Sequence

from fairway.core.event import Event
from fairway.core.objective import Objective, Optimisation
from fairway.models.gan.generator import PERCEPTRON, Generator


class UnrolledGAN(Generator):
    """A generator that looks five moves of the critic ahead, unless the objective is told otherwise (`unroll=10`).

    Learning rates as in the paper, 1e-3 and a tenth of that for the critic, falling to 0; with silu in the place of
    relu, 3,000 steps left no draw on a mode of the ring of eight Gaussians. Gradients are clipped to norm 1: what comes
    back through five moves grows with the critic's logits, and without a clip runs of 5,000 steps lost all modes again.

    Args: as `Generator`.
    """

    cites = ("metz2017unrolled",)
    optimisation = Optimisation(lr=1e-3, betas=(0.5, 0.999), clip=1.0, ema=0.995)
    tiny = Generator.tiny

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        latent: int = 16,
        hidden: Sequence[int] = PERCEPTRON,
        act: str = "relu",
    ) -> None:
        super().__init__(event, context_event, latent=latent, hidden=hidden, act=act)

    def default_objective(self) -> Objective:
        from fairway.objectives.unrolled import Unrolled

        return Unrolled()
