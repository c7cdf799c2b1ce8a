"""Maximum likelihood along short, straight paths: what keeps a continuous flow cheap to solve.

    loss = -log p(u) + kinetic int |v(u_t, t)|^2 dt + jacobian int |dv/du|_F^2 dt,     averaged over data, per entry

Many fields carry the data to the base; likelihood alone does not choose among them. The kinetic energy asks for the
least transport (Benamou and Brenier 2000: straight lines at constant speed), the Jacobian's norm for neighbours that
travel together, and a solver follows such lines in few steps. Both weights are 0.01 in the paper.
Source: Finlay, Jacobsen, Nurbekyan and Oberman 2020, How to train your neural ODE.
"""

from typing import Any

from fairway.core.capability import HasPath
from fairway.core.objective import Batch, Loss, Objective, Phase
from fairway.core.random import Rows


class KineticMLE(Objective):
    """Negative log-likelihood and the costs of the path, nats per entry.

    Args:
        kinetic: weight of the kinetic energy.
        jacobian: weight of the squared Frobenius norm of the field's Jacobian.

    Raises:
        ValueError: a negative weight.
    """

    requires = (HasPath,)

    def __init__(self, kinetic: float = 0.01, jacobian: float = 0.01) -> None:
        super().__init__()
        self.weights = {"kinetic": float(kinetic), "jacobian": float(jacobian)}
        for name, weight in self.weights.items():
            if not weight >= 0:
                raise ValueError(f"expected the weight {name} as a number of at least 0, got {weight}")

    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        log_prob, costs = model._log_prob_and_path(batch.u, batch.context, generator)
        dims = model.model_event.dims
        terms = {"nll": batch.mean(-log_prob) / dims}
        terms |= {name: batch.mean(costs[name]) / dims for name in self.weights}
        total = terms["nll"]
        for name, weight in self.weights.items():
            total = total + weight * terms[name]
        return Loss(total, terms)
