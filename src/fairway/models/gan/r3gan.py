"""R3GAN: a relativistic loss with two zero-centred penalties, the modern default (Huang et al. 2024).

    min_d  E softplus(d(g(z)) - d(u)) + gamma/2 E |grad d(u)|^2 + gamma/2 E |grad d(g(z))|^2
    min_g  E softplus(d(u) - d(g(z))),           gamma falls during the run, by a cosine, on tables

Fakes are judged against real rows in pairs, which leaves no basin in which all draws sit on one mode; the penalties on
both sides make the game converge locally. On Gaussians in a ring or a grid it is the penalty that matters: the
non-saturating loss with it does as well (`benchmarks/modes.py`). A strong one finds all modes, a weak one then lets the
critic be steep, and with it the generator between two modes, where draws are lost. Neither network norms: what a row is
told does not depend on its neighbours.
"""

from typing import ClassVar

from fairway.core.case import Case
from fairway.core.event import Event
from fairway.core.objective import Objective, Optimisation
from fairway.core.preprocessing import Preprocessing, rescaled
from fairway.models.gan.generator import Generator
from fairway.models.gan.image_generator import ImageGenerator
from fairway.networks.dcgan import halvings

GAMMA, GAMMA_OF_IMAGES = (0.1, 0.005), 1.0
STEPS, ROWS = 8500, 256  # about a minute of one core on tables; batches of 64 leave more draws between the modes
WIDTH = 3.0  # standard deviation of a table's columns in model units: narrow modes are told apart sooner than at 1


class R3GAN(ImageGenerator):
    """A generator for tables and images that keeps its modes.

    On tables: perceptrons of three layers of 128 with relu (on the grid of 25 Gaussians leaky relu left 57 % of the
    draws near a mode, silu 2 %), as many latent entries as the data have, learning rate 3e-3 falling to 0.

    Args: as `ImageGenerator`.
    """

    cites = ("huang2024r3gan",)
    norm = "pixel"
    tiny: ClassVar[list[Case]] = [
        *Generator.tiny,
        Case(Event((8, 8), "integer", low=0, high=16), Event((), "category", levels=3), {"latent": 4, "hidden": (8,)}),
    ]

    @property
    def steps(self) -> int | None:
        """Of a fit that was not told any: images take the usual number, as each of theirs takes longer."""
        return None if self.convolves else STEPS

    @property
    def batch_size(self) -> int | None:
        """Rows of a batch on tables; None for the objective's."""
        return None if self.convolves else ROWS

    @property
    def optimisation(self) -> Optimisation:
        """Of both players."""
        return Optimisation(lr=1.5e-3 if self.convolves else 3e-3, betas=(0.0, 0.99), clip=None, ema=0.999)

    def preprocessing(self, event: Event) -> Preprocessing:
        units = super().preprocessing(event)
        return units if halvings(event) else rescaled(units, WIDTH)

    def default_objective(self) -> Objective:
        from fairway.objectives.adversarial import Adversarial

        weight = GAMMA_OF_IMAGES if self.convolves else GAMMA
        return Adversarial("relativistic", "r1_r2", weight=weight, critic_steps=1)
