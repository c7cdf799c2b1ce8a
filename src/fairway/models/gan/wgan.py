"""The Wasserstein GAN with clipped weights (Arjovsky, Chintala and Bottou 2017).

    min_g max_{d in D_c}  E[d(u)] - E[d(g(z))],       D_c: every weight of the critic in [-c, c]

A critic of bounded weights is Lipschitz, with a constant that c and the depth set together: the logged gap is some
unknown multiple of the distance, and too small a c lets gradients vanish through the layers, too large a one lets the
critic take long to its best (the paper calls it "a clearly terrible way"). `wgan_gp` is its cure; the table of c in the
documentation shows how much depends on it.
"""

from fairway.core.objective import Objective
from fairway.models.gan.generator import Generator


class WGAN(Generator):
    """A generator under the Wasserstein loss, five critic moves a step, weights clipped at 0.01.

    Args: as `Generator`.
    """

    cites = ("arjovsky2017wgan",)
    tiny = Generator.tiny

    def default_objective(self) -> Objective:
        from fairway.objectives.adversarial import Adversarial

        return Adversarial("wasserstein", "clip", weight=0.01, critic_steps=5)
