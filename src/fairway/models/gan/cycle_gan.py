"""CycleGAN: two samples of images that do not pair up, and a translation each way (Zhu, Park, Isola and Efros 2017).

    there u = g(c, z),  back c = h(u, z)           c of the context's law, u of the event's; z a little noise, ~ N(0, I)

Each fools a critic of the law it leads to, g(h(u)) = u and h(g(c)) = c are asked for, and what is of the wanted law
already is to stay (see `objectives.cycle`). That is all that ties a picture to its translation: where a law can be
turned upside down within itself, so may the translation be. Both networks are residual ones with instance norm. The
paper has no z; here a draw has noise, which the round trip teaches the networks to make little of.

    model = fit("cycle_gan", zebras, context=horses, paired=False)
    model.translate(horses)        model.reverse.translate(zebras)
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from fairway.core.case import Case
from fairway.core.event import Event
from fairway.core.objective import Objective, Optimisation
from fairway.core.preprocessing import Preprocessing, symmetric
from fairway.models.gan.generator import Generator
from fairway.models.gan.translator import Translator, bounded, channels, sides, translated
from fairway.networks.translation import ResidualTranslator


class CycleGAN(Translator):
    """Images of one law from images of another, and back, from unpaired samples.

    Args:
        event: the images to make, (C, H, W) or (H, W).
        context_event: those to make them of, of the same sides.
        latent: entries of the noise.
        hidden: channels at each size, from the image's own; each next picture has half the sides.
        blocks: residual blocks at the smallest size, in each direction.

    Raises:
        ValueError: what is no image, a missing context, or sides that differ or cannot be halved so often.
    """

    accepts_context = Generator.accepts  # type: ignore[assignment]
    cites = ("zhu2017cyclegan",)
    without_context = "pass context=... (images of the other law, with paired=False)"
    optimisation = Optimisation(lr=1e-3, betas=(0.5, 0.999), clip=None, ema=0.999)
    tiny: ClassVar[list[Case]] = [
        Case(
            Event((8, 8), "integer", low=0, high=16),
            Event((8, 8), "integer", low=0, high=9),
            {"latent": 2, "hidden": (4,)},
        ),
        Case(
            Event((2, 4, 8), "bounded", low=0.0, high=1.0),
            Event((3, 4, 8)),
            {"latent": 3, "hidden": (4, 8), "blocks": 1},
        ),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        latent: int = 4,
        hidden: Sequence[int] = (32, 64),
        blocks: int = 3,
    ) -> None:
        self.blocks = blocks  # before the networks are built
        super().__init__(event, context_event, latent=latent, hidden=hidden)
        self.context_preprocess = symmetric(self._given)  # images of both laws are made, in units of the same kind
        self.back = self._translator(self.event, self._given)

    def _network(self) -> nn.Module:
        return self._translator(self._given, self.event)

    def _translator(self, given: Event, made: Event) -> nn.Module:
        """From one to the other."""
        ResidualTranslator.check(sides(made), len(self.hidden) - 1)
        ends = channels(given), channels(made)
        return ResidualTranslator(*ends, self.latent, self.hidden, self.blocks, bounded(made))

    def default_objective(self) -> Objective:
        from fairway.objectives.cycle import Cycle

        return Cycle() if channels(self.event) == channels(self._given) else Cycle(identity=0.0)

    @property
    def reverse(self) -> "Reverse":
        """The translation back, as a model of its own that shares this one's weights."""
        return Reverse(self)

    def _decode_back(self, z: Tensor, u: Tensor) -> Tensor:
        """z (B, latent), u (B, *U) -> (B, *C), model units of the context."""
        return translated(self.back, u, z, self._units.model_event)

    @property
    def _units(self) -> Preprocessing:
        """Of the context."""
        assert self.context_preprocess is not None
        return self.context_preprocess


class Reverse(Translator):
    """A `CycleGAN` seen from the other side: images of its context's law given images of its event's.

    Args:
        model: which; its weights and units are shared.
    """

    def __init__(self, model: CycleGAN) -> None:
        super().__init__(model._given, model.event, latent=model.latent, hidden=model.hidden)
        self.preprocess, self.context_preprocess = model._units, model.preprocess
        self.train(model.training)

    def _network(self) -> nn.Module:
        network: nn.Module = self.arguments["model"].back
        return network

    def default_objective(self) -> Any:
        raise TypeError("this is a view of a model: fit that")
