"""One of two processes that share rows: steps of solvers on its share, printed as JSON (started by the tests)."""

import json
import sys

import torch
import torch.distributed as dist

from fairway.core.event import Event
from fairway.core.objective import Batch
from fairway.core.random import Rows, seeded
from fairway.models.classical.histogram import Independent
from fairway.models.classical.mixture import GMM
from fairway.objectives.counts import Counts
from fairway.objectives.em import EM

ROWS, CUT = 301, 130  # the first process has the first 130 rows


def share(batch, rank, size):
    """The contiguous rows of a process."""
    if size == 1:
        return batch
    part = slice(0, CUT) if rank == 0 else slice(CUT, ROWS)
    pick = (None if t is None else t[part] for t in (batch.weight, batch.observed))
    weight, observed = pick
    return Batch(batch.u[part], None, weight, observed)


def curves(rank=0, size=1):
    """The losses and the last parameters of EM in several forms, and of counting."""
    x = Rows(0, ROWS, dtype=torch.float64).normal(3) + 2.0 * (torch.arange(ROWS) % 3).unsqueeze(1)
    weight = Rows(1, ROWS, dtype=torch.float64).uniform()
    observed = Rows(2, ROWS, dtype=torch.float64).uniform(3) > 0.2
    cases = {form: (form, Batch(x, None, weight)) for form in ("full", "tied", "diagonal", "spherical")}
    cases |= {"gaps": ("full", Batch(torch.where(observed, x, 0.0), None, None, observed)), "plain": ("full", Batch(x))}
    out = {name: _em(*case, rank, size) for name, case in cases.items()}
    out["one component"] = _em("full", Batch(x), rank, size, components=1)
    return out | {"counts": _counts(Batch((x > 1).long() + (x > 3).long(), None, weight), rank, size)}


def _em(form, batch, rank, size, components=3):
    with seeded(0):
        model = GMM(Event((3,)), components=components, covariance=form).double()
    solver = EM(tolerance=0.0)
    solver.start(model, batch, Rows(0, ROWS, dtype=torch.float64))
    part = share(batch, rank, size)
    losses = [solver.step(model, part)["loss"] for _ in range(6)]
    return losses + model.means.detach().flatten().tolist() + model.covariances().detach().flatten().tolist()


def _counts(batch, rank, size):
    model, solver = Independent(Event((3,), "category", levels=3)).double(), Counts()
    solver.start(model, batch, Rows(0, ROWS))
    return [solver.step(model, share(batch, rank, size))["loss"], *model.logits.detach().flatten().tolist()]


if __name__ == "__main__":
    rank = int(sys.argv[1])
    dist.init_process_group("gloo", init_method=f"file://{sys.argv[2]}", rank=rank, world_size=2)
    print(json.dumps(curves(rank, 2)))
    dist.destroy_process_group()
