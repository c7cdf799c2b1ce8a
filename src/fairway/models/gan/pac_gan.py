"""PacGAN: the GAN with a critic of m rows at once (Lin, Khetan, Fanti and Oh 2018).

    min_g max_d  E[log sigma(d(u_1, ..., u_m))] + E[log(1 - sigma(d(g(z_1), ..., g(z_m))))]  =  2 JS(p^m, q^m) - log 4

The game of `gan` with nothing changed but the critic's first layer, which is m times as wide. Between products of laws
a missing mode is plain to see; see `objectives.packing`.
"""

from fairway.core.objective import Objective
from fairway.models.gan.generator import Generator


class PacGAN(Generator):
    """A generator judged by the pack, four draws at once unless the objective is told otherwise (`pack=2`).

    Args: as `Generator`.
    """

    cites = ("lin2018pacgan",)
    tiny = Generator.tiny

    def default_objective(self) -> Objective:
        from fairway.objectives.packing import Packing

        return Packing()
