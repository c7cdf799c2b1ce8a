"""A denoiser whose network sees its input at scale 1.

    y(u_t, t) = network(u_t / |(alpha, sigma)|, t, context)

Data have scale 1 in model units, so u_t has the scale |(alpha, sigma)|: of a variance-exploding schedule that is up to
80, more than a network should be shown. What y means is the model's prediction (p, q).
"""

import torch
from torch import Tensor, nn

from fairway.core.event import Event
from fairway.core.numerics import expand_as_rows
from fairway.models.diffusion.denoiser import Denoiser
from fairway.models.diffusion.prediction import Prediction
from fairway.models.diffusion.schedule import Pair, Schedule


class NetworkDenoiser(Denoiser):
    """Subclasses choose the schedule and the prediction, and hold a `network`.

    Args:
        event, context_event: see `Model`.
        schedule: t -> (alpha, sigma).
        prediction: what the network says.
    """

    network: nn.Module
    accepts = ("real", "bounded", "positive", "integer", "binary")
    accepts_context = ("category", "real", "bounded", "positive", "integer", "binary")

    def __init__(
        self,
        event: Event,
        context_event: Event | None,
        schedule: Schedule,
        prediction: Prediction,
    ) -> None:
        super().__init__(event, context_event)
        self.schedule, self.prediction = schedule, prediction

    def _prediction(self, t: Tensor) -> Pair:
        return self.prediction(self.schedule, t)

    def _network(self, u: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        out: Tensor = self.network(u / expand_as_rows(torch.hypot(*self.schedule(t)), u), t, context)
        return out.to(u.dtype)
