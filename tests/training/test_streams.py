"""`fit` on data that stay on disk: the windows through which a run sees them, and resume in the same bits."""

import numpy as np
import pytest
import torch

from fairway.data import load, stream
from fairway.training.batches import Batches
from fairway.training.callbacks import Callback
from fairway.training.files import BrokenFolder
from fairway.training.fit import fit
from fairway.training.options import Options
from fairway.training.prepare import prepare

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
image = pytest.importorskip("PIL.Image")
SMALL = {"transforms": 2, "hidden": (8,)}


@pytest.fixture(autouse=True)
def small_buffers(monkeypatch):
    monkeypatch.setattr("fairway.data.buffers.BUFFER", 60)


@pytest.fixture
def table(x, tmp_path):
    """200 rows in 3 files with 20 rows per group, labelled by their side."""
    folder = tmp_path / "table"
    folder.mkdir()
    for i, part in enumerate(x.split([90, 60, 50])):
        columns = {"a": part[:, 0].numpy(), "b": part[:, 1].numpy(), "side": (part[:, 0] > 1000).long().numpy()}
        pq.write_table(pa.table(columns), folder / f"{i}.parquet", row_group_size=20)
    return folder


@pytest.fixture
def images(tmp_path):
    folder, generator = tmp_path / "images", np.random.default_rng(0)
    for i in range(40):
        (folder / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        image.fromarray(generator.integers(0, 256, (4, 4), dtype=np.uint8)).save(folder / "ab"[i % 2] / f"{i:02}.png")
    return folder


def state(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


# -- what a run sees ------------------------------------------------------------------------------------------------
def test_training_and_held_out_rows_are_the_whole_table(table, x):
    data = stream(table, columns=["a", "b"])
    task = prepare("real_nvp", data, Options(validation=0.2, seed=3), SMALL)
    assert len(task.train) == 160 and task.held_out.x.shape == (40, 2)
    read = task.train.reader(0, 160, (0, 1))
    both = torch.cat([read(0).x, task.held_out.x])
    assert torch.equal(both[both[:, 0].argsort()], x[x[:, 0].argsort()])
    other = prepare("real_nvp", data, Options(validation=0.2, seed=4), SMALL)
    assert not torch.equal(other.held_out.x, task.held_out.x)


def test_units_are_measured_on_training_rows_in_memory(table, monkeypatch):
    data = stream(table, columns=["a", "b"])
    task = prepare("real_nvp", data, Options(validation=0.2), SMALL)
    assert len(task.train.some) == 160, "all of them, of a small table"
    torch.testing.assert_close(task.model.preprocess.mean, task.train.some.x.double().mean(0))
    monkeypatch.setattr("fairway.training.streams.SAMPLE", 30)
    task = prepare("real_nvp", data, Options(validation=0.2), SMALL)
    assert 30 <= len(task.train.some) <= 60 and len(task.held_out) == 30
    held = {tuple(row) for row in task.held_out.x.tolist()}
    assert not held & {tuple(row) for row in task.train.some.x.tolist()}


def test_labels_are_contexts_where_they_are_asked_for(table, images):
    data = stream(table, labels="side")
    model = fit("real_nvp", data, context="labels", steps=80, lr=3e-2, batch_size=32, **SMALL)
    assert model.context_event.levels == 2
    drawn = model.sample(200, context=torch.tensor([0, 1]), generator=0)[..., 0].mean(1)
    assert float(drawn[1] - drawn[0]) > 30
    assert fit("real_nvp", data, steps=1, **SMALL).context_event is None
    assert fit("real_nvp", stream(images), context="labels", steps=2, **SMALL).context_event.levels == 2


def test_what_a_stream_cannot_have(table, x):
    data = stream(table, columns=["a", "b"])
    for wrong in ({"weights": torch.ones(200)}, {"context": x[:, :1]}, {"context": "labels"}):
        with pytest.raises(ValueError, match="expected no weights with a stream, and context='labels' or none"):
            fit("real_nvp", data, steps=1, **wrong, **SMALL)
    with pytest.raises(ValueError, match=r"learns from all 200 rows at once \(a solver, say\), got the stream table"):
        fit("gmm", data)
    model = fit("real_nvp", x[:, :1].repeat(1, 3) * torch.rand(200, 3), steps=1, **SMALL)
    with pytest.raises(ValueError, match=r"expected rows as Event\(shape=\(3,\).*got a stream of Event\(shape=\(2,\)"):
        fit(model, data, steps=1)
    conditional = fit("real_nvp", x, context=(x[:, 0] > 1000).long(), steps=1, **SMALL)
    with pytest.raises(ValueError, match=r"is conditional on .*: pass context='labels'"):
        fit(conditional, data, steps=1)
    with pytest.raises(ValueError, match="was built without context_event"):
        fit(fit("real_nvp", x, steps=1, **SMALL), stream(table, labels="side"), context="labels", steps=1)


def test_a_table_in_shards_learns_like_one_in_memory(table, x):
    """Other batches, same law: the held-out score of the same rows is close."""
    options = {"steps": 120, "lr": 2e-2, "batch_size": 64, **SMALL}
    a, b = fit("real_nvp", x, **options), fit("real_nvp", stream(table, columns=["a", "b"]), **options)
    assert abs(float(a.log_prob(x).mean() - b.log_prob(x).mean())) < 0.4


@pytest.mark.parametrize("where", ["table", "images"])
def test_processes_share_the_batches_of_one(where, table, images):
    """The same rows, contexts and noise of the preprocessing, in order; what is in memory is the same on each."""
    data = stream(table, labels="side") if where == "table" else stream(images)
    task = prepare("real_nvp", data, Options(context="labels"), SMALL)
    one = Batches(task.model, task.train, 8, seed=3)
    shares = [Batches(task.model, task.train, 4, seed=3, share=(rank, 2)) for rank in range(2)]
    for _ in range(30):
        whole, parts = one.next(), [batches.next() for batches in shares]
        assert torch.equal(torch.cat([part.u for part in parts]), whole.u)
        assert torch.equal(torch.cat([part.context for part in parts]), whole.context)
    assert torch.equal(one.all(9).u, shares[1].all(9).u) and len(one.all(9)) == 9


# -- resume -----------------------------------------------------------------------------------------------------------
class Killed(BaseException):
    """Nothing catches it, like a power cut."""


class Kill(Callback):
    def __init__(self, step):
        self.step, self.seen = step, []

    def on_step(self, run):
        self.seen.append(run.step)
        if run.step == self.step:
            raise Killed


RUNS = {
    "a table": ("real_nvp", {"batch_size": 32, **SMALL}),
    "images with noise": ("real_nvp", {"batch_size": 8, **SMALL}),
}


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("name", list(RUNS))
def test_a_run_goes_on_in_the_same_bits(name, workers, table, images, tmp_path):
    """4 and 4 steps against 8; whatever the number of workers was, before and after."""
    where, (model, options) = table if name == "a table" else images, RUNS[name]
    options = {**options, "steps": 8, "checkpoint_every": 4}
    whole = fit(model, stream(where), out=tmp_path / "whole", **options)
    with pytest.raises(Killed):
        fit(model, stream(where), out=tmp_path / "cut", callbacks=[Kill(6)], **options)
    later = Kill(9)
    resumed = fit(
        model, stream(where, workers=workers), out=tmp_path / "cut", resume=True, callbacks=[later], **options
    )
    assert later.seen == [5, 6, 7, 8]
    assert same(state(resumed), state(whole))
    assert resumed.history.curve("loss")[-1] == whole.history.curve("loss")[-1]


def test_changed_shards_are_changed_data(table, tmp_path):
    options = {"steps": 8, "checkpoint_every": 4, "out": tmp_path / "run", "batch_size": 32, **SMALL}
    with pytest.raises(Killed):
        fit("real_nvp", stream(table), callbacks=[Kill(6)], **options)
    shard = pq.read_table(table / "1.parquet").to_pandas()
    shard.loc[3, "a"] += 500
    pq.write_table(pa.Table.from_pandas(shard, preserve_index=False), table / "1.parquet", row_group_size=20)
    with pytest.raises(BrokenFolder, match="the data changed since"):
        fit("real_nvp", stream(table), resume=True, **options)


def test_the_run_folder_knows_where_the_rows_are(table, tmp_path):
    from fairway.report.held_out import held_out, source_of

    fit("real_nvp", stream(table, labels="side"), steps=2, out=tmp_path / "run", **SMALL)
    assert source_of(tmp_path / "run").digest == stream(table, labels="side").digest
    with pytest.raises(ValueError, match="was trained on every row"):
        held_out(tmp_path / "run")


def test_a_stream_is_read_at_every_step_and_no_array_is_made(images, monkeypatch):
    monkeypatch.setattr("fairway.training.streams.SAMPLE", 5)
    read, real = [], load(images).x
    data = stream(images)
    monkeypatch.setattr(data, "read", lambda index, read=data.read: read_and_count(index, read))

    def read_and_count(index, inner):
        read.append(len(index))
        return inner(index)

    fit("real_nvp", data, steps=3, batch_size=8, **SMALL)
    assert max(read) <= 10 < len(real) and len(read) >= 5
