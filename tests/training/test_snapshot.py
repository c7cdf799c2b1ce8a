"""A snapshot put back is the run as it was, in every tensor and number."""

import torch

from fairway.objectives.elbo import ELBO
from fairway.objectives.mle import MLE
from fairway.training import snapshot
from fairway.training.loop import Run
from fairway.training.plan import Plan


def run_of(model, table, objective=None, **plan):
    objective = objective or MLE()
    objective.setup(model)
    return Run(model, objective, table, table, Plan(6, None, 32, 0, evaluate_every=2, **plan))


def test_what_was_taken_is_put_back(flow, table):
    run = run_of(flow, table, log_every=1)
    steps = iter(run)
    for _ in range(3):
        next(steps)
    tensors, numbers = snapshot.take(run)
    next(steps), next(steps)
    later = snapshot.take(run)
    assert any(not torch.equal(tensors[k], later[0][k]) for k in tensors) and later[1]["step"] == 5
    snapshot.put_back(run, (tensors, numbers))
    again, now = snapshot.take(run)
    assert again.keys() == tensors.keys() and all(torch.equal(again[k], tensors[k]) for k in tensors)
    assert now == numbers and numbers["step"] == 3 == numbers["drawn"]
    assert max(row["step"] for row in run.history.rows) == 3


def test_the_memory_of_an_earlier_copy_is_used_again(flow, table):
    run = run_of(flow, table)
    first = snapshot.take(run)
    second = snapshot.take(run, first)
    name = next(k for k in first[0] if k.startswith("model.") and first[0][k].ndim == 2)
    assert first[0][name].data_ptr() == second[0][name].data_ptr()


def test_the_place_of_a_run_is_its_own(flow, table):
    """Batch and processes are those of the run that goes on, whatever the snapshot's were."""
    run = run_of(flow, table)
    tensors, numbers = snapshot.take(run)
    numbers["plan"] |= {"batch_size": 16, "world": 2, "parallel": "fsdp", "steps": 9}
    snapshot.put_back(run, (tensors, numbers))
    assert (run.plan.batch_size, run.plan.world, run.plan.parallel, run.plan.steps) == (32, 1, "ddp", 9)


def test_counters_of_an_objective_are_part_of_it(table):
    from fairway.core.event import Event
    from fairway.models.latent.vae import VAE

    model = VAE(Event((2,)), hidden=(8,))
    model.preprocess.fit(table.x)
    run = run_of(model, table, ELBO(warm_up=5))
    steps = iter(run)
    next(steps)
    assert int(snapshot.take(run)[0]["objective.steps"]) == 1
