"""What is left to know of a row once some of its entries are observed.

log p(x_m | x_o) = log p(x_m, x_o) - log p(x_o)
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.random import Seed

if TYPE_CHECKING:
    from fairway.core.model import Model


@dataclass(frozen=True)
class Conditional:
    """The law of the unobserved entries of one row given the observed ones."""

    model: "Model"
    x: Tensor
    observed: Tensor
    context: Any = None

    def sample(self, n: int, *, generator: Seed = None) -> Tensor:
        """(n, *E): completed rows."""
        row = self.x.unsqueeze(0)
        context = None if self.context is None else as_tensor(self.context, "context").unsqueeze(0)
        return self.model.complete(row, self.observed, n, context=context, generator=generator)[0]

    def log_prob(self, x: Any) -> Tensor:
        """log p(unobserved | observed) of rows (*L, *E), whose observed entries are replaced by the given ones."""
        x = as_tensor(x).to(self.x.device)
        x = torch.where(self.observed, self.x.to(x.dtype), x)
        joint = self.model.log_prob(x, self.context)
        return joint - self.model.log_marginal(self.x, self.observed, self.context)
