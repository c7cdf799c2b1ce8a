"""The reference of an energy model, p = exp(f) q / Z, learned by its own principle before f is.

q sees the same rows in the same units as f; a Gaussian mixture learns by expectation maximisation, a flow by its
likelihood. These two hand the model's `reference` to the learner that suits it, so that one fit has two stages.
"""

from typing import Any

from torch import Tensor, nn

from fairway.core.objective import Batch, Loss, Objective, Optimisation, Phase, Solver
from fairway.core.random import Rows


class ReferenceSolver(Solver):
    """A solver at work on `model.reference`.

    Args:
        solver: the reference's own.
    """

    def __init__(self, solver: Solver) -> None:
        super().__init__()
        self.solver = solver
        self.arguments["iterations"] = solver.arguments.get("iterations")  # the limit, as for any solver

    def start(self, model: Any, data: Batch, rows: Rows) -> None:
        self.solver.start(model.reference, data, rows)

    def step(self, model: Any, data: Batch) -> dict[str, float]:
        return self.solver.step(model.reference, data)

    def done(self) -> bool:
        return self.solver.done()


class ReferenceObjective(Objective):
    """An objective at work on `model.reference`.

    Args:
        objective: the reference's own.
    """

    def __init__(self, objective: Objective) -> None:
        super().__init__()
        self.objective = objective
        self.monitor = None  # type: ignore[misc]
        self.batch_size, self.traceable = objective.batch_size, False  # type: ignore[misc]

    def setup(self, model: Any) -> None:
        self.objective.setup(model.reference)

    def start(self, model: Any, u: Tensor) -> None:
        self.objective.start(model.reference, u)

    def reach(self, share: float) -> None:
        self.objective.reach(share)

    def players(self, model: Any) -> dict[str, nn.Module]:
        return {"model": model.reference}

    def optimisation_of(self, player: str) -> Optimisation:
        return self.objective.optimisation_of(player)

    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        return self.objective.loss(batch, model.reference, phase=phase, generator=generator)
