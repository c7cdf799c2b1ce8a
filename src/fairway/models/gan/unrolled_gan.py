"""Unrolled GAN: the GAN whose generator foresees the critic's next moves (Metz et al. 2017).

    min_g  -E log sigma(d_k(g(z))),        d_k: the critic, k gradient steps against this generator later

The game of `gan` with nothing changed but the critic that the generator is judged by; see `objectives.unrolled`.
"""

from fairway.core.objective import Objective
from fairway.models.gan.generator import Generator


class UnrolledGAN(Generator):
    """A generator that looks five moves of the critic ahead, unless the objective is told otherwise (`unroll=10`).

    Args: as `Generator`.
    """

    cites = ("metz2017unrolled",)
    tiny = Generator.tiny

    def default_objective(self) -> Objective:
        from fairway.objectives.unrolled import Unrolled

        return Unrolled()
