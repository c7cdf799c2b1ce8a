"""The generative adversarial network (Goodfellow et al. 2014).

    min_g max_d  E[log sigma(d(u))] + E[log(1 - sigma(d(g(z))))]  =  2 JS(data, generator) - log 4    at the best d

whose best critic is the log ratio log p / q of data and generator. The generator plays -log sigma(d(g(z))) in the place
of log(1 - sigma(d(g(z)))): the same fixed point, with a slope where the critic is sure (section 3 of the paper). With
no penalty the game need not converge, and modes go missing: on the grid of 25 Gaussians in `benchmarks/modes.py` it
shows how. Take `r3gan` for data, this one to see why.
"""

from fairway.core.objective import Objective
from fairway.models.gan.generator import Generator


class GAN(Generator):
    """A generator under the non-saturating loss, one critic move a step, no penalty.

    Args: as `Generator`.
    """

    cites = ("goodfellow2014gan",)
    tiny = Generator.tiny

    def default_objective(self) -> Objective:
        from fairway.objectives.adversarial import Adversarial

        return Adversarial("non_saturating", "none", critic_steps=1)
