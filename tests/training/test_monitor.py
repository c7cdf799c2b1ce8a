"""The held-out number: the objective's loss under noise that never changes, or a metric by name."""

import math

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Loss
from fairway.core.random import Rows
from fairway.models.flow.real_nvp import RealNVP
from fairway.models.gan.gan import GAN
from fairway.objectives.mle import MLE
from fairway.samplers.driver import ChainError
from fairway.training.batches import Batches, Table
from fairway.training.fit import fit
from fairway.training.monitor import FEW, ROWS, Monitor, Watch
from fairway.training.plan import Plan

PLAN = Plan(10, None, 32, 0)


class Silent(MLE):
    monitor = None


class Nothing(MLE):
    def loss(self, batch, model, *, phase, generator):
        return Loss(torch.tensor(math.nan))


def test_the_objectives_own_loss_per_entry_in_model_units(flow, table):
    monitor = Monitor.of(flow, MLE(), table, PLAN)
    u, _ = flow._to_model(table.x)
    assert monitor.name == "loss"
    assert monitor() == pytest.approx(float(-flow._log_prob(u).detach().mean()) / 2, rel=1e-6)


def test_its_noise_never_changes():
    x = torch.randint(0, 7, (50, 2), generator=torch.Generator().manual_seed(0))
    model = RealNVP(Event((2,), "integer", low=0, high=6), transforms=2, hidden=(4,))
    monitor = Monitor.of(model, MLE(), Table(x), PLAN)
    assert monitor() == monitor()


def test_a_metric_by_name(flow, table):
    flow.monitor = "nll"
    assert Monitor.of(flow, Silent(), table, PLAN)() == pytest.approx(
        float(-flow.eval().log_prob(table.x).double().mean()) / 2, rel=1e-5
    )


def test_nobody_asks(flow, table):
    assert Monitor.of(flow, Silent(), table, PLAN) is None
    assert Monitor.of(flow, MLE(), None, PLAN) is None


def test_nan_is_infinitely_bad(flow, table):
    assert Monitor.of(flow, Nothing(), table, PLAN)() == math.inf


def test_chains_that_ran_away_are_infinitely_bad(flow, table, monkeypatch):
    monitor = Monitor.of(flow, MLE(), table, PLAN)

    def run_away():
        raise ChainError("no finite chain")

    monkeypatch.setattr(monitor, "_loss", run_away)
    assert monitor() == math.inf


def test_no_gradient_and_no_more_rows_than_needed(flow):
    monitor = Monitor.of(flow, MLE(), Table(torch.randn(ROWS + 10, 2)), PLAN)
    assert len(monitor.batch) == ROWS
    monitor()
    assert all(p.grad is None for p in flow.parameters())


def test_what_is_watched_is_the_share_of_training_rows_without_a_draw():
    """A generator on one of two modes leaves the other half uncovered, and the log says so; the weights do not care."""
    x = Rows(0, 600).normal(2) + 40 * (torch.arange(600) % 2).unsqueeze(1)
    model = GAN(Event((2,)), latent=2, hidden=(4,)).eval()
    model.preprocess.fit(x)
    one = model._to_model(torch.full((1, 2), 40.0))[0]
    spread = model._to_model(torch.tensor([[40.0, 40.0], [41.0, 41.0]]))[0].diff(dim=0)
    model._decode = lambda z, context=None: one + spread * z
    batches = Batches(model, Table(x), 32, 0)
    found = Watch("coverage", model, batches, 0)()
    missing = float((x[:FEW, 0] < 20).float().mean())
    assert list(found) == ["uncovered"] and missing - 1e-6 < found["uncovered"] < missing + 0.1
    assert Watch(None, model, batches, 0)() == {}


def test_the_log_of_an_adversary_has_it_as_often_as_an_evaluation_would_be(x):
    model = fit("r3gan", x, steps=200, evaluate_every=100, log_every=50, hidden=(8,), seed=0)
    told = [row["step"] for row in model.history.rows if "uncovered" in row]
    assert told == [100, 200] and all("accuracy" in row for row in model.history.rows)
