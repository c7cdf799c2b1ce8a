"""A solver's run: log, stop, divergence and state."""

import math

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Solver
from fairway.models.classical.mixture import GMM
from fairway.objectives.em import EM
from fairway.training.batches import Table
from fairway.training.callbacks import Every
from fairway.training.fit import fit, loop
from fairway.training.guard import Diverged
from fairway.training.plan import Plan
from fairway.training.solve import Solve


class Halving(Solver):
    """Moves the mean of one Gaussian towards 1; the loss is what is missing; breaks where it is told."""

    def __init__(self, breaks=None, how="nan"):
        super().__init__()
        self.breaks, self.how = breaks, how
        self.register_buffer("left", torch.ones((), dtype=torch.float64))

    def start(self, model, data, rows):
        model.means.data.zero_()
        self.left.fill_(1.0)

    def step(self, model, data):
        loss = float(self.left)
        if self.breaks is not None and loss <= 0.5**self.breaks:
            if self.how == "matrix":
                torch.linalg.cholesky(-torch.eye(2))
            return {"loss": math.nan}
        self.left.mul_(0.5)
        model.means.data.fill_(1 - float(self.left))
        return {"loss": loss}

    def done(self):
        return float(self.left) < 1e-3


def solve(solver, x, steps=50, out=None, components=1, **plan):
    model = GMM(Event((2,)), components=components)
    model.preprocess.fit(x)
    return Solve(model, solver, Table(x), Plan(steps, None, 1, 0, **plan), out=out)


def exhaust(run):
    for _ in run:
        pass
    return run


def test_it_stops_when_the_solver_is_done(x):
    run = exhaust(solve(Halving(), x))
    assert (run.history.stopped, run.step) == ("converged", 10)
    assert [loss for _, loss in run.history.curve("loss")] == [0.5**k for k in range(10)]
    assert not run.model.training


def test_it_stops_at_the_limit(x):
    run = exhaust(solve(Halving(), x, steps=3))
    assert (run.history.stopped, run.history.steps) == ("all iterations taken", 3)


def test_it_stops_when_the_budget_is_spent(x):
    model = fit("gmm", x, components=2, tolerance=-1.0, iterations=10**6, budget=0.2)
    assert model.history.stopped == "the budget was spent" and model.history.seconds < 1.0


def test_steps_override_a_solvers_own_limit(x):
    assert fit("gmm", x, components=3, tolerance=-1.0, steps=4).history.steps == 4
    assert fit("gmm", x, components=3, tolerance=-1.0, iterations=2, steps=7).history.steps == 7
    assert fit("gmm", x, components=3, tolerance=-1.0, iterations=6).history.steps == 6


@pytest.mark.parametrize("how", ["nan", "matrix"])
def test_divergence_goes_back_to_the_last_good_state(x, how):
    run = solve(Halving(breaks=4, how=how), x)
    with pytest.raises(Diverged) as caught:
        exhaust(run)
    error = caught.value
    assert error.step == 4 and ("matrix" in error.term if how == "matrix" else error.term == "loss")
    assert error.last_good == 3 == run.step
    assert torch.allclose(run.model.means, torch.full((1, 2), 1 - 0.5**3))
    assert run.history.stopped == "diverged at step 4" and not run.model.training


def test_state_repeats_every_bit(x):
    def build():
        return solve(EM(tolerance=1e-9), x, steps=9, components=3)

    whole, half = exhaust(build()), build()
    loop_ = iter(half)
    for _ in range(4):
        next(loop_)
    again = build()
    again.load_state(half.state())
    exhaust(again)
    assert again.step == whole.step
    for name, value in whole.state()[0].items():
        assert torch.equal(value, again.state()[0][name]), name


def test_checkpoints_come_in_time_and_at_the_end(x, tmp_path, monkeypatch):
    from fairway.training import checkpoint

    steps = []
    monkeypatch.setattr(checkpoint, "write", lambda folder, snapshot: steps.append(snapshot[1]["step"]))
    exhaust(solve(Halving(), x, out=tmp_path, checkpoint_every=4))
    assert steps == [4, 8, 10]


def test_a_callback_draws_from_the_model_in_eval_mode(x):
    modes = []
    fit("gmm", x, components=2, callbacks=[Every(1, lambda run: modes.append(run.model.training))])
    assert modes and not any(modes)


def test_leaving_the_loop_early_leaves_a_usable_model(x):
    for run in loop("gmm", x, components=2, tolerance=-1.0):
        if run.step == 2:
            break
    assert not run.model.training and run.model.history.stopped == "the loop was left"
