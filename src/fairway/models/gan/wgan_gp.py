"""The Wasserstein GAN with a gradient penalty (Gulrajani et al. 2017).

    min_g max_{|d|_Lip <= 1}  E[d(u)] - E[d(g(z))]  =  W_1(data, generator)        (Kantorovich and Rubinstein)

The constraint is kept softly by 10 E[(|grad d| - 1)^2] on segments between real and generated rows; the critic moves
five times for each move of the generator, both by Adam without momentum. See `objectives.adversarial`. Being soft, it
lets the slope grow to 1 + W / (2 * 10), so that the logged gap reads W (1 + W / 20): larger than the distance while
the two are far apart, equal as they meet.
"""

from fairway.core.objective import Objective
from fairway.models.gan.generator import Generator


class WGANGP(Generator):
    """A generator that learns by the paper's preset: Wasserstein losses, penalty weight 10, five critic moves a step.

    Adam's betas are the paper's (0, 0.9), its learning rate is not: on 8x8 digits, 500 steps at the paper's 1e-4 give
    samples of which a classifier recognises 0.30 times the share it does of real rows, at 2e-3 0.74 times. The default
    is 4e-3 on a cosine to 0, with an average of the generator's weights; deep critics on large images want less.

    Args: as `Generator`.
    """

    cites = ("gulrajani2017wgan_gp",)
    tiny = Generator.tiny

    def default_objective(self) -> Objective:
        from fairway.objectives.adversarial import Adversarial

        return Adversarial(divergence="wasserstein", penalty="gradient", weight=10.0, critic_steps=5)
