"""A denoiser whose network is the default perceptron or your own, and sees its input at scale 1.

    y(u_t, t) = network(u_t / |(alpha, sigma)|, t, context)

Data have scale 1 in model units, so u_t has the scale |(alpha, sigma)|: of a variance-exploding schedule that is up to
80, more than a network should be shown. What y means is the model's prediction (p, q).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fairway.core.event import Event
from fairway.core.numerics import expand_as_rows
from fairway.models.diffusion.denoiser import Denoiser
from fairway.models.diffusion.prediction import Prediction
from fairway.models.diffusion.schedule import Pair, Schedule
from fairway.networks.time_mlp import TimeMLP


class NetworkDenoiser(Denoiser):
    """Subclasses choose the schedule and the prediction.

    Args:
        event, context_event: see `Model`.
        schedule: t -> (alpha, sigma).
        prediction: what the network says.
        hidden: widths of the residual blocks of the default network.
        network: your own module (u (B, *U), t (B,), context (B, ...) or None) -> (B, *U) in place of the default.
    """

    accepts = ("real", "bounded", "positive", "integer", "binary")
    accepts_context = ("category", "real", "bounded", "positive", "integer", "binary")

    def __init__(
        self,
        event: Event,
        context_event: Event | None,
        schedule: Schedule,
        prediction: Prediction,
        hidden: Sequence[int],
        network: nn.Module | None,
    ) -> None:
        super().__init__(event, context_event)
        given = 0 if self.context_preprocess is None else self.context_preprocess.model_event.dims
        self.schedule, self.prediction = schedule, prediction
        self.network = network or TimeMLP(self.model_event.dims, given, hidden)

    def _prediction(self, t: Tensor) -> Pair:
        return self.prediction(self.schedule, t)

    def _network(self, u: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        out: Tensor = self.network(u / expand_as_rows(torch.hypot(*self.schedule(t)), u), t, context)
        return out
