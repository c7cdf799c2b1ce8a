"""The loop: budgets, early stops, divergence, averages, loops of one's own, and state that repeats every bit."""

import copy
import math
import time

import pytest
import torch
from torch import nn

from fairway.core.event import Event
from fairway.core.objective import Loss, Objective, Optimisation, Phase
from fairway.core.random import seeded
from fairway.models.flow.real_nvp import RealNVP
from fairway.objectives.adversarial import Adversarial
from fairway.objectives.mle import MLE
from fairway.training.batches import Batches, Table
from fairway.training.callbacks import Callback
from fairway.training.fit import fit, loop
from fairway.training.guard import Diverged
from fairway.training.loop import Run
from fairway.training.plan import Plan


def run_of(flow, table, objective=None, held_out=None, steps=20, **plan):
    plan = {"evaluate_every": 5, "log_every": 5, "checkpoint_every": 5, **plan}
    return Run(flow, objective or MLE(), table, held_out, Plan(steps, plan.pop("budget", None), 32, 0, **plan))


def exhaust(run):
    for _ in run:
        pass
    return run


def weights(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


PLAIN = Optimisation(lr=2e-3, clip=0.5)  # no average


# -- a step ---------------------------------------------------------------------------------------------------------
def test_a_step_is_adam_on_the_objectives_loss(flow, table):
    """Against a loop written out by hand: same rows, same schedule, same clip."""
    by_hand = copy.deepcopy(flow)
    flow.optimisation = PLAIN
    exhaust(run_of(flow, table, steps=6))
    optimiser = torch.optim.AdamW(by_hand.parameters(), lr=1.0, weight_decay=0.0)
    batches = Batches(by_hand, table, 32, seed=0)
    for k in range(6):
        loss = -by_hand._log_prob(batches.next().u).mean() / 2
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(by_hand.parameters(), PLAIN.clip)
        optimiser.param_groups[0]["lr"] = PLAIN.lr * 0.5 * (1 + math.cos(math.pi * k / 6))
        optimiser.step()
    for ours, theirs in zip(flow.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_training_lowers_the_loss_and_leaves_eval_mode(flow, table):
    run = run_of(flow, table, steps=60)
    for _ in run:
        assert flow.training
    curve = [value for _, value in run.history.curve("loss")]
    assert curve[-1] < curve[0] - 0.05
    assert not flow.training and run.history.stopped == "all steps taken"
    assert (run.history.steps, run.history.rows[-1]["step"]) == (60, 60)


class Players(Objective):
    """Two players: the critic moves twice as often, every second step; records what came."""

    optimisation = Optimisation(lr=0.1, clip=None, schedule="constant")

    def setup(self, model):
        self.critic, self.seen = nn.Linear(2, 1), []

    def players(self, model):
        return {"model": model, "critic": self.critic}

    def phases(self, model):
        note = self.seen.append
        return [
            Phase("critic", times=2, every=2, before=lambda m: note("before"), after=lambda m: note("after")),
            Phase("model"),
        ]

    def loss(self, batch, model, *, phase, generator):
        self.seen.append((phase.player, round(float(batch.u.sum()), 3), round(float(generator.uniform().sum()), 3)))
        value = self.critic(batch.u).mean() if phase.player == "critic" else -model._log_prob(batch.u).mean()
        return Loss(value, {"value": value})


def test_phases_come_in_order_with_fresh_batches_and_noise(flow, table):
    objective = Players()
    objective.setup(flow)
    run = run_of(flow, table, objective, steps=3)
    exhaust(run)
    kinds = [entry if isinstance(entry, str) else entry[0] for entry in objective.seen]
    critic = ["before", "critic", "after"] * 2
    assert kinds == [*critic, "model", "model", *critic, "model"]
    moves = [entry for entry in objective.seen if not isinstance(entry, str)]
    assert len({rows for _, rows, _ in moves}) == len(moves), "a repeat saw old rows"
    assert len({noise for _, _, noise in moves}) == len(moves), "a repeat saw old noise"
    assert {"loss", "gradient", "value", "critic_loss", "critic_gradient"} <= run.history.rows[-1].keys()
    assert run.batches.drawn == 2 + 1 + 1 + 2 + 1


def test_an_averaged_generator_against_its_critic_trains(x):
    model = fit("wgan_gp", x, steps=4, hidden=(8,), critic_hidden=(8,), validation=0)
    assert {"loss", "critic_loss", "critic", "penalty"} <= model.history.rows[-1].keys()
    assert isinstance(model.default_objective(), Adversarial)


# -- divergence -----------------------------------------------------------------------------------------------------
class Planted(MLE):
    """A loss whose third term is NaN at the rows that a planted value marks."""

    def loss(self, batch, model, *, phase, generator):
        loss = super().loss(batch, model, phase=phase, generator=generator)
        data = model.preprocess.to_data(batch.u.detach())
        extra = torch.where(data[:, 0] > 5_000, torch.nan, 0.0).mean()
        return Loss(loss.total + extra, {**loss.terms, "planted": extra})


def test_a_planted_nan_is_found_at_its_step_and_term(flow, x, small):
    x[17, 0] = 9_000.0
    flow.preprocess.fit(x)
    batches = Batches(flow, Table(x), 32, seed=0)
    step = next(k for k in range(10) if bool((batches.next().u[:, 0] > 5).any()))
    with pytest.raises(Diverged) as caught:
        fit("real_nvp", x, objective=Planted(), validation=0, steps=100, **small)
    error = caught.value
    assert (error.step, error.term, error.last_good) == (step, "planted", 0)
    assert f"diverged at step {step}: the term 'planted'" in str(error)
    assert bool(error.model.log_prob(x).isfinite().all())
    assert error.model.history.stopped == f"diverged at step {step}"


def test_a_wild_learning_rate_ends_at_the_last_good_state(flow, table):
    """lr x 1e6 from step 13 on: the state of step 10 comes back."""

    class Wild(Callback):
        def on_step(self, run):
            if run.step == 10:
                kept.update(weights(run.model))
            if run.step == 13:
                mover = run.movers["model"]
                mover.how = Optimisation(lr=mover.how.lr * 1e6, clip=None)

    kept = {}
    flow.optimisation = PLAIN
    run = run_of(flow, table, steps=100)
    run.callbacks = [Wild()]
    with pytest.raises(Diverged) as caught:
        exhaust(run)
    assert 13 <= caught.value.step < 15 and caught.value.last_good == 10 == run.step
    assert same(weights(flow), kept) and not flow.training
    assert [row["step"] for row in run.history.rows] == [5, 10]


def test_a_wild_learning_rate_through_fit(x, small):
    with pytest.raises(Diverged, match="Try a lower lr"):
        fit("real_nvp", x, lr=2e3, steps=200, **small)


def test_divergence_with_a_monitor_gives_the_best_weights(flow, table):
    run = run_of(flow, table, Planted(), held_out=table, steps=100)
    best = {}

    class Spoil(Callback):
        def on_evaluate(self, run, value):
            if run.history.best_step == run.step:
                best.update(weights(run.model))
            if run.step == 10:
                run.batches._ready.u.fill_(torch.nan)

    run.callbacks = [Spoil()]
    with pytest.raises(Diverged) as caught:
        exhaust(run)
    assert caught.value.step == 10 and caught.value.last_good == run.history.best_step
    assert bool(flow.log_prob(table.x).isfinite().all())


def test_a_nan_in_the_last_part_of_a_window_is_not_missed(flow, table):
    """Early stops and spent budgets end between two log rows."""
    run = run_of(flow, table, steps=100, log_every=50, budget=None)
    with pytest.raises(Diverged):
        for _ in run:
            if run.step == 7:
                run.batches._ready.u.fill_(torch.nan)
            if run.step == 9:
                run.plan.budget = 1e-9  # spent


# -- early stop, averages -------------------------------------------------------------------------------------------
def test_an_early_stop_restores_the_best_weights(flow, table):
    """The monitor is told a course: best at step 15, then old."""
    course, seen = iter([3.0, 2.0, 1.0, *[2.0] * 30]), {}
    run = run_of(flow, table, held_out=table, steps=200, patience=4)
    run.monitor.__class__ = type("Told", (type(run.monitor),), {"__call__": lambda self: next(course)})
    for _ in run:
        if run.step == 15:
            with run.evaluated():
                seen.update(weights(flow))
    assert run.step == 15 + 5 * 5 and run.history.stopped == "no improvement in 5 evaluations"
    assert (run.history.best, run.history.best_step) == (1.0, 15)
    assert same(weights(flow), seen)


def test_evaluations_see_the_average_and_the_end_keeps_it(flow, table):
    run = run_of(flow, table, steps=12)
    for _ in run:
        last = {k: v.clone() for k, v in run.average.shadow.items()}
        raw = {k: p.detach().clone() for k, p in flow.named_parameters()}
        with run.evaluated():
            assert same(dict(flow.named_parameters()), last) and not flow.training
        assert same({k: p.detach() for k, p in flow.named_parameters()}, raw) and flow.training
    final = {k: p.detach() for k, p in flow.named_parameters()}
    assert same(final, last) and not same(final, raw)


def test_a_finished_run_stays_finished(flow, table):
    run = exhaust(run_of(flow, table, steps=6))
    before = weights(flow)
    assert list(run) == []
    assert same(weights(flow), before)


# -- budgets --------------------------------------------------------------------------------------------------------
def test_a_budget_is_kept(x, small):
    began = time.perf_counter()
    history = fit("real_nvp", x, budget=2.0, **small).history
    wall = time.perf_counter() - began
    assert 1.0 < history.seconds < 5 and wall < 20
    assert history.steps > 20 and history.stopped in ("all steps taken", "the budget was spent")
    assert history.evaluate_every >= 1


def test_the_time_of_callbacks_counts(x, small):
    class Slow(Callback):
        def on_log(self, run, row):
            time.sleep(0.2)

    assert fit("real_nvp", x, steps=50, callbacks=[Slow()], **small).history.seconds > 0.2


# -- state ----------------------------------------------------------------------------------------------------------
def test_state_holds_everything_the_next_step_needs(flow, table):
    run = run_of(flow, table, held_out=table, steps=20)
    loop_ = iter(run)
    for _ in range(9):
        next(loop_)
    snapshot = run.state()
    for _ in range(6):
        next(loop_)
    expected, best = weights(flow), run.history.best
    loop_.close()
    run.load_state(snapshot)
    assert run.step == 9 and run.history.rows[-1]["step"] == 5
    loop_ = iter(run)
    for _ in range(6):
        next(loop_)
    assert same(weights(flow), expected) and run.history.best == best


def test_a_snapshot_does_not_follow_the_run(flow, table):
    run = run_of(flow, table, held_out=table, steps=20)
    loop_ = iter(run)
    next(loop_)
    tensors, counters = run.state()
    copy = {k: v.clone() for k, v in tensors.items()}
    for _ in loop_:
        pass
    assert same(tensors, copy) and counters["step"] == 1


def test_the_last_good_state_uses_its_memory_again(flow, table):
    run = run_of(flow, table, steps=20)
    loop_, places = iter(run), []
    for _ in loop_:
        if run.step % 5 == 1 and run.step > 1:
            places.append(run._good[0]["model.transform.links.1.conditioner.layers.0.linear.weight"].data_ptr())
    assert len(places) == 3 and len(set(places)) == 1


def test_dropout_repeats_from_the_middle_and_leaves_the_global_generator_alone(table):
    def build():
        with seeded(0):
            model = RealNVP(Event((2,)), transforms=2, hidden=(8,), dropout=0.5)
        model.preprocess.fit(table.x)
        return run_of(model, table, steps=8)

    torch.manual_seed(3)
    before, whole, half = torch.get_rng_state(), build(), build()
    exhaust(whole)
    loop_ = iter(half)
    for _ in range(4):
        next(loop_)
    other = build()
    other.load_state(half.state())
    exhaust(other)
    assert same(weights(other.model), weights(whole.model))
    assert torch.equal(torch.get_rng_state(), before)


# -- a loop of one's own --------------------------------------------------------------------------------------------
def test_a_loop_of_ones_own_is_fit(x, small):
    for run in loop("real_nvp", x, steps=10, **small):
        model = run.model
    assert same(weights(model), weights(fit("real_nvp", x, steps=10, **small)))


def test_leaving_the_loop_early_leaves_a_usable_model(x, small):
    for run in loop("real_nvp", x, steps=1000, **small):
        if run.step == 30:
            break
    assert not run.model.training
    assert run.model.history.steps == 30 and run.model.history.stopped == "the loop was left"
    assert run.model.log_prob(x).isfinite().all()


def test_no_host_sync_between_log_rows(flow, table, monkeypatch):
    """The bookkeeping of a step reads no value back: counted on the CPU as calls that would block a device."""
    syncs = []
    for name in ("item", "tolist", "__bool__", "__float__", "__int__", "__index__"):
        real = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, lambda self, real=real, name=name: (syncs.append(name), real(self))[1])
    run, counts = run_of(flow, table, steps=20, log_every=10, checkpoint_every=10), []
    for _ in run:
        counts.append(len(syncs))
    gained = [b - a for a, b in zip([0, *counts], counts, strict=False)]
    assert all(g == 0 for k, g in enumerate(gained, 1) if k % 10 and k > 1), gained


def test_after_any_error_the_best_weights_are_in_the_model(flow, table):
    """A callback that fails, a disk that is full: what was learned so far is not lost."""

    class Fail(Callback):
        def on_step(self, run):
            if run.step == 9:
                raise OSError("no space left")

    run = Run(flow, MLE(), table, table, Plan(20, None, 32, 0, evaluate_every=4), [Fail()])
    with pytest.raises(OSError, match="no space left"):
        list(run)
    assert run.history.stopped == "ended by OSError" and run.history.best_step in (4, 8) and not flow.training
    assert all(torch.equal(value, run.best[name]) for name, value in flow.state_dict().items())
