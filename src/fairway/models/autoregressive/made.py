"""MADE: masked autoencoder for distribution estimation (Germain, Gregor, Murray and Larochelle 2015).

    h_l = act((W_l * M_l) h_{l-1} + b_l),   params_i = (V * M_V) h_L + b_V     (eq. 9 and 10)
    M_l[k', k] = 1[m(k') >= m(k)],   M_V[i, k] = 1[rank(i) > m(k)]             (eq. 8, 12 and 13)

An ordinary multilayer perceptron whose weights are masked so that output i sees the variables before i only: all D
conditionals in one pass, an exact density at the price of an autoencoder. The paper's outputs are Bernoulli; here any
`Head` will do. Draws take D steps that together cost one pass, because hidden units are sorted by degree (see
`networks.masked`). The paper resamples masks to regularise; dropout does it here, with one ordering.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.core.objective import Optimisation
from fairway.models.autoregressive.autoregressive import Autoregressive
from fairway.networks.masked import MaskedMLP
from fairway.networks.masked_steps import MaskedSteps


class MADE(Autoregressive):
    """One masked perceptron for all conditionals.

    Args:
        event, context_event: see `Model`; any kind of fixed shape.
        hidden: widths of the hidden layers; none makes every conditional linear in the variables before it.
        ordering: natural, reversed, random, or the variables from first to last.
        components: of a mixture head; None for 10 Gaussians (real) or 4 logistics (more than four levels).
        dropout: share of hidden units dropped in training.

    >>> model = MADE(Event((3,), "binary"), hidden=(8,))
    >>> model.sample(2, generator=0).shape
    torch.Size([2, 3])
    """

    cites = ("germain2015made",)
    optimisation = Optimisation(lr=1e-2, betas=(0.9, 0.99), ema=0.99)
    tiny = [
        Case(Event((2,)), None, {"hidden": (8, 8), "components": 2}),
        Case(Event((1, 2, 2), "integer", low=0, high=7), None, {"hidden": (8,), "components": 2}),
        Case(Event((3,), "binary"), Event((), "category", levels=3), {"hidden": (8,), "ordering": "random"}),
        Case(Event((2,), "category", levels=3), Event((2,)), {"hidden": (8,), "ordering": "reversed"}),
    ]

    def __init__(
        self,
        event: Event,
        context_event: Event | None = None,
        *,
        hidden: Sequence[int] = (256, 256),
        ordering: str | Sequence[int] = "natural",
        components: int | None = None,
        dropout: float = 0.3,
    ) -> None:
        super().__init__(event, context_event, ordering=ordering, components=components)
        self.network = MaskedMLP(
            self.dims, self.head.params, hidden, self.head.features, self.context_dims, self.ordering.order,
            residual=True, dropout=dropout,
        )  # fmt: skip
        with torch.no_grad():  # start near the head's own law, whatever the input
            self.network.last.weight.mul_(0.1)
            self.network.last.bias.copy_(self.head.initial().repeat(self.dims))

    def params(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        features = self.head.embed(u.reshape(len(u), self.dims), self.dtype)
        out: Tensor = self.network(features, context)
        return out

    def init_state(self, n: int, context: Tensor | None = None) -> MaskedSteps:
        return self.network.init_state(n, context)

    def step(self, state: MaskedSteps, previous: Tensor | None) -> Tensor:
        return self.network.step(state, None if previous is None else self.head.embed(previous, self.dtype))
