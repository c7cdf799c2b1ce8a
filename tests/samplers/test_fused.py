"""A fused run makes the moves of the eager one, follows the weights of the moment, and names a chain that is lost."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.energy.energy import EBM
from fairway.objectives.persistent import PersistentContrastiveDivergence
from fairway.samplers.compiled import Compiled
from fairway.samplers.driver import ChainError, Fixed
from fairway.samplers.fused import Fused
from fairway.samplers.langevin import Langevin
from fairway.samplers.mcmc import frozen
from fairway.samplers.target import Target


def model(context=None):
    with seeded(0):
        return EBM(Event((2,)), context, hidden=(8,)).double()


def both(ebm, kernel, fused, seed=1):
    u, rows = Rows(0, 16, dtype=torch.float64).normal(2), Rows(seed, 16, dtype=torch.float64)
    step = torch.tensor(0.1, dtype=torch.float64)
    with frozen(ebm), torch.no_grad():
        eager = Fixed(3, warmup=0).run(kernel, Target.of(ebm), u, rows, step=step)
        return eager, fused.run_model(kernel, ebm, u, rows, step)


@pytest.mark.parametrize("metropolis", [True, False])
def test_moves_are_those_of_the_eager_run_before_and_after_the_weights_move(metropolis):
    ebm, fused = model(), Fused(3)
    for seed in (1, 2):
        eager, found = both(ebm, Langevin(metropolis=metropolis), fused, seed)
        torch.testing.assert_close(found.state.u, eager.state.u, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(found.acceptance, eager.acceptance, rtol=1e-10, atol=1e-10)
        with torch.no_grad():
            for p in ebm.parameters():
                p.mul_(1.5)


@pytest.fixture
def uncompiled(monkeypatch):
    """The same function without the compiler's seconds."""
    monkeypatch.setattr("fairway.samplers.fused.compiled", lambda function: function)


def test_an_objective_with_a_compiled_kernel_has_the_loss_of_the_plain_one(uncompiled):
    found = []
    for kernel in (Langevin(0.1), Compiled(Langevin(0.1))):
        ebm = model()
        objective = PersistentContrastiveDivergence(32, 3, kernel=kernel).double()
        objective.setup(ebm)
        objective.double()
        batch = Batch(Rows(5, 16, dtype=torch.float64).normal(2))
        found += [objective.loss(batch, ebm, phase=Phase(), generator=Rows(3, 16, dtype=torch.float64)).total]
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)
    assert isinstance(objective.driver, Fused)


def test_chains_with_contexts_of_their_own_run_eagerly():
    ebm = model(Event((), "category", levels=2))
    objective = PersistentContrastiveDivergence(32, 2, kernel=Compiled(Langevin(0.1)))
    objective.setup(ebm)
    objective.double()
    batch = Batch(Rows(5, 16, dtype=torch.float64).normal(2), torch.eye(2, dtype=torch.float64)[[0, 1] * 8])
    assert bool(torch.isfinite(objective.loss(batch, ebm, phase=Phase(), generator=Rows(3, 16)).total))
    assert objective.driver._bound is None


def test_a_chain_that_leaves_the_numbers_is_named(uncompiled):
    ebm = model()
    with torch.no_grad():
        next(p for p in ebm.parameters() if p.ndim == 2)[0, 0] = torch.nan
    with pytest.raises(ChainError, match="chain 0 is no longer a number after 2 moves"), frozen(ebm), torch.no_grad():
        rows = Rows(1, 4, dtype=torch.float64)
        Fused(2).run_model(Langevin(), ebm, rows.normal(2), rows, torch.tensor(0.1, dtype=torch.float64))
