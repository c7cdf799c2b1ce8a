"""f-GAN: any f-divergence between data and generator, minimised by its variational bound (Nowozin et al. 2016).

    min_g max_d  E_data T - E_generator f*(T),    T = g_f(d(u)),        <= D_f(data || generator)

With f = u log u the generator minimises KL(data || generator), which punishes missing data; reverse KL punishes draws
where there are no data. The activations g_f and conjugates f* are in `objectives.f_gan`.
"""

from fairway.core.objective import Objective
from fairway.models.gan.generator import Generator


class FGAN(Generator):
    """A generator under the variational bound on an f-divergence, Jensen-Shannon unless the objective is told another
    (`divergence="kl"`), with a light zero-centred penalty that keeps the ratio from running away.

    Args: as `Generator`.
    """

    cites = ("nowozin2016fgan",)
    tiny = Generator.tiny

    def default_objective(self) -> Objective:
        from fairway.objectives.adversarial import Adversarial

        return Adversarial("jensen_shannon", "r1_r2", weight=0.1, critic_steps=1)
