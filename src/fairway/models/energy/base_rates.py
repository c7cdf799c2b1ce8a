"""How often each level was seen, as the law that a discrete energy tilts.

    log p(u) = f(u) + log q(u) - log Z,   q(u) = prod_i r_i(u_i),   r_i(k) = (n_i[k] + 1) / (n + levels),   Z = E_q e^f

q knows every marginal of the data and no dependence. It is counted once, with the units (`Preprocessing.fit`), so
fields need not be learned from zero: starting biases at the log-odds of the data is Hinton's recipe (2012, section 8),
and f has only dependence to explain. Chains are born from q, and log Z is annealed from it: with f_b a path from
f_0 = 0 to f_1 = f, p_0 = q and Z_0 = 1, the base-rate model of Salakhutdinov & Murray (2008, section 4.1).
"""

import math
from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import HasEnergy, HasGibbs
from fairway.core.event import Event
from fairway.core.extent import chunks
from fairway.core.model import Model
from fairway.core.preprocessing import Levels, Preprocessing
from fairway.core.random import Rows
from fairway.models.energy.chains import KeepsChains


class BaseRates(Levels):
    """u = x - low, and the log of r, (D, levels); even before it is fitted.

    >>> rates = BaseRates(Event((1,), "binary"))
    >>> rates.fit(torch.tensor([[1], [1], [0], [1]]))
    >>> rates.log_rates.exp()
    tensor([[0.3333, 0.6667]], dtype=torch.float64)
    """

    log_rates: Tensor

    def __init__(self, event: Event) -> None:
        super().__init__(event)
        if event.levels is None or None in event.shape:
            raise ValueError(f"expected an event with levels and a fixed shape to count, got {event}")
        self.register_buffer("log_rates", even_rates(event))

    def fit(self, x: Tensor) -> None:
        self.fit_chunks(chunks(x))

    def fit_chunks(self, parts: Iterable[Tensor]) -> None:
        counts = torch.ones_like(self.log_rates)
        for x in parts:
            level = (x.reshape(len(x), -1).long() - self.event.offset).T.to(counts.device)
            counts.scatter_add_(1, level, torch.ones_like(level, dtype=counts.dtype))
        self.log_rates.copy_((counts / counts.sum(1, keepdim=True)).log())


def even_rates(event: Event) -> Tensor:
    """The log of 1 / levels for each entry and level, (D, levels)."""
    levels = event.levels or 2
    return torch.full((event.dims, levels), -math.log(levels), dtype=torch.float64)


class TiltedRates(KeepsChains, HasGibbs, HasEnergy, Model):
    """exp(f) q / Z on counted data with a fixed shape: hooks for f, and for a round of moves anywhere on the path.

    In units other than its own (`fit(preprocess=...)`) q is even.
    """

    def preprocessing(self, event: Event) -> Preprocessing:
        return BaseRates(event)

    @property
    def log_rates(self) -> Tensor:
        """(D, levels): log r, the law of each entry in the data."""
        rates = self.preprocess.log_rates if isinstance(self.preprocess, BaseRates) else even_rates(self.model_event)
        return rates.to(self.device, self.dtype)

    @abstractmethod
    def _tilt(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        """f(u) (B,): log p - log q + log Z."""

    @abstractmethod
    def _path_round(self, u: Tensor, before: float, after: float, uniforms: Tensor) -> tuple[Tensor, Tensor]:
        """A step along the path p_b ~ exp(f_b) q, b from 0 to 1.

        Args:
            u: (B, *U). before, after: two places on the path.
            uniforms: (B, ...), as a round of Gibbs sampling takes them.

        Returns:
            u after a round that leaves p_after as it is; f_after(u) - f_before(u) (B,) at the u given, nats.
        """

    def _log_unnorm(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        return self._tilt(u) + self._log_reference(u)

    def _log_reference(self, u: Tensor) -> Tensor:
        """log q(u) (B,)."""
        return self.log_rates.gather(1, u.reshape(len(u), -1).long().T).sum(0)

    def _births(self, rows: Rows) -> Tensor:
        """Draws of q (B, *U), levels in the dtype of the weights."""
        edges = self.log_rates.double().exp().cumsum(1)[:, :-1]
        uniforms = rows.uniform(self.event.dims)
        above: Any = sum(uniforms > edge for edge in edges.T)
        born: Tensor = above.to(self.dtype).reshape(rows.n, *self.chains.shape[1:])
        return born
