"""Maximum likelihood with chains that start from noise anew at every step of training.

    d/dtheta E_data[log p(u)] = E_data[d f(u)] - E_p[d f(u)],      u ~ p by so many moves from the reference q

The classic of Younes (1999) and of Zhu, Wu & Mumford (1998), without any memory. Chains as long as it takes to mix give
the likelihood's gradient; chains of a hundred moves give a model whose chains of a hundred moves look like data, and
which need not have the data's density (short-run chains; Nijkamp et al. 2019, Learning Non-Convergent Non-Persistent
Short-Run MCMC). Draws use as many moves as training did, from where training started. Loss: `energy_contrast`.
"""

from typing import Any

from torch import Tensor

from fairway.core.objective import Batch
from fairway.core.random import Rows
from fairway.objectives.energy_contrast import EnergyContrast, births, contexts_of
from fairway.samplers.driver import Run
from fairway.samplers.kernel import Kernel


class MLEByMCMC(EnergyContrast):
    """f up on data, down where chains from the reference arrive.

    Args:
        steps: moves of a chain.
        penalty, kernel, noise, jumps: as for `EnergyContrast`.
    """

    def __init__(
        self,
        steps: int = 40,
        penalty: float = 0.003,
        kernel: Kernel | None = None,
        noise: float = 0.0,
        jumps: int = 8,
    ) -> None:
        super().__init__(steps, penalty, kernel, noise, jumps)

    def _chains(self, batch: Batch, model: Any, rows: Rows) -> tuple[Run, Tensor]:
        contexts = contexts_of(batch)
        run = self._moved(batch, model, births(model, rows.spawn(1)), contexts, rows)
        if hasattr(model, "_keep"):
            model._keep(batch.u[:0], contexts[:0], self.step_size)
        return run, contexts
