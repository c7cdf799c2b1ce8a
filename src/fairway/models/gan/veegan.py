"""VEEGAN: noise that can be read off the draws, so that leaving out modes is paid for (Srivastava et al. 2017).

    min_{g, F}  E[-d(g(z), z)] + lambda E |z - F(g(z))|^2,        d of the pairs (x, F(x)) against (g(z), z)

Generator and reconstructor F (`encode`) are those of `bigan`; what differs is how they learn, see `objectives.veegan`.
F inverts the generator by regression rather than by the game, which is sooner done: with lambda = 1, 300 steps on the
ring of eight Gaussians bring every mode its share of the draws, and decode(encode(x)) within 0.06 of x. The price lies
between the modes: a map that can be read backwards is a smooth one, and a smooth one draws what lies between.
"""

from fairway.core.objective import Objective
from fairway.models.gan.bigan import WEIGHT, WEIGHT_OF_IMAGES, BiGAN


class VEEGAN(BiGAN):
    """A generator and the reconstructor of its noise: perceptrons on tables, convolutions on images.

    Args: as `BiGAN`.
    """

    cites = ("srivastava2017veegan",)  # type: ignore[assignment]
    tiny = BiGAN.tiny

    def default_objective(self) -> Objective:
        from fairway.objectives.veegan import VEEGAN as Reconstruction

        return Reconstruction(weight=WEIGHT_OF_IMAGES if self.convolves else WEIGHT)
