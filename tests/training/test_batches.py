"""The order of the rows and their noise are functions of the seed and of one counter."""

import pytest
import torch

from fairway.core.event import Event
from fairway.models.classical.mixture import GMM
from fairway.models.flow.real_nvp import RealNVP
from fairway.training.batches import Batches, Table


@pytest.fixture
def counts():
    """Rows of whole numbers, whose model units need fresh noise."""
    x = torch.arange(40).reshape(20, 2) % 7
    return RealNVP(Event((2,), "integer", low=0, high=6), transforms=2, hidden=(4,)), Table(x)


def test_an_epoch_visits_every_row_once(flow, table):
    batches = Batches(flow, table, 50, seed=0)
    seen = torch.cat([batches.next().u for _ in range(4)])
    expected = flow._to_model(table.x)[0]
    assert torch.equal(seen.sort(0).values, expected.sort(0).values)
    assert not torch.equal(seen, expected), "the rows came in their own order"


def test_a_batch_may_cross_the_end_of_an_epoch(flow, table):
    batches = Batches(flow, table, 64, seed=0)
    index = torch.cat([batches._sequence(k) for k in range(25)])  # 25 batches of 64 are 8 epochs of 200
    assert torch.equal(index.bincount(), torch.full((200,), 8))
    assert not torch.equal(index[:200], index[200:400]), "every epoch needs an order of its own"


def test_the_counter_alone_decides_what_comes_next(counts):
    model, table = counts
    first = Batches(model, table, 8, seed=3)
    taken = [first.next().u for _ in range(6)]
    later = Batches(model, table, 8, seed=3)
    later.drawn = 4
    assert torch.equal(later.next().u, taken[4])
    assert torch.equal(later.next().u, taken[5])


def test_noise_is_fresh_in_every_batch_and_follows_the_seed(counts):
    model, table = counts
    index = torch.arange(8)
    a, b = (Batches(model, table, 8, seed).take(index, 5).u for seed in (0, 1))
    assert torch.equal(a, b), "the noise's seed is given to take"
    batches = Batches(model, Table(table.x[:8]), 8, seed=0)
    assert not torch.equal(batches.next().u.sort(0).values, batches.next().u.sort(0).values)
    assert not torch.equal(Batches(model, table, 8, 0).next().u, Batches(model, table, 8, 1).next().u)


def test_all_rows_come_in_their_own_order_with_noise_that_stays(counts):
    model, table = counts
    batches = Batches(model, table, 8, seed=0)
    assert torch.equal(batches.all().u, batches.all().u)
    assert torch.equal(model._to_data(batches.all().u.double()).long(), table.x)
    assert len(batches.all(5)) == 5
    assert batches.drawn == 0


def test_context_and_weight_travel_with_their_rows():
    x = torch.randn(30, 2, generator=torch.Generator().manual_seed(0))
    model = RealNVP(Event((2,)), Event((1,)), transforms=2, hidden=(4,))
    model.preprocess.fit(x)
    batch = Batches(model, Table(x, x[:, :1].clone(), x[:, 1].clone()), 8, seed=0).next()
    assert torch.allclose(model._to_data(batch.u)[:, :1], batch.context, atol=1e-6)
    assert torch.allclose(model._to_data(batch.u)[:, 1], batch.weight, atol=1e-6)


@pytest.mark.parametrize("event", [Event((2,), missing=True), Event((2,), "bounded", low=0, high=1, missing=True)])
def test_gaps_are_seen_in_data_units_and_filled_with_zero(event):
    x = torch.rand(6, 2, generator=torch.Generator().manual_seed(0))
    x[2, 1] = torch.nan
    batch = Batches(GMM(event, components=1), Table(x), 6, seed=0).all()
    assert torch.equal(batch.observed, ~x.isnan())
    assert batch.u[2, 1] == 0 and bool(batch.u.isfinite().all())


def test_a_table_smaller_than_the_batch_is_one_batch(flow, x):
    assert len(Batches(flow, Table(x[:5]), 128, seed=0).next()) == 5


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_the_batches_of_one(counts, processes):
    """The same rows with the same noise, in order; the weights' total is that of the whole batch."""
    model, table = counts
    table = Table(table.x, weight=torch.rand(20, generator=torch.Generator().manual_seed(0)))
    one = Batches(model, table, 4 * processes, seed=3)
    shares = [Batches(model, table, 4, seed=3, share=(rank, processes)) for rank in range(processes)]
    for _ in range(5):  # across the end of an epoch
        whole, parts = one.next(), [batches.next() for batches in shares]
        assert torch.equal(torch.cat([part.u for part in parts]), whole.u)
        per_row = whole.u.sum(1)
        means = torch.stack([part.mean(rows) for part, rows in zip(parts, per_row.split(4), strict=True)])
        torch.testing.assert_close(means.mean(), whole.mean(per_row))
    assert torch.equal(shares[1].all().u, one.all().u), "all rows are the same on every process"


def test_processes_share_what_rows_there_are(flow, x):
    assert Batches(flow, Table(x[:11]), 8, seed=0, share=(1, 2)).size == 5
    with pytest.raises(ValueError, match="expected a row for each of 4 processes, got 3"):
        Batches(flow, Table(x[:3]), 8, seed=0, share=(0, 4))


def test_rows_of_a_table():
    table = Table(torch.arange(6).reshape(3, 2), torch.arange(3), torch.arange(3.0))
    part = table.rows(torch.tensor([2, 0]))
    assert part.x.tolist() == [[4, 5], [0, 1]]
    assert part.context.tolist() == [2, 0]
    assert part.weight.tolist() == [2.0, 0.0]
