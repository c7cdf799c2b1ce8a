"""Data, precision, units, contexts, weights and held-out rows, before the first step."""

import numpy as np
import pytest
import torch

from fairway.core import extent
from fairway.core.event import Event
from fairway.core.preprocessing import Standardise
from fairway.core.random import seeded
from fairway.data.dataset import Dataset
from fairway.models.classical.histogram import Independent
from fairway.models.flow.real_nvp import RealNVP
from fairway.training.callbacks import Callback
from fairway.training.fit import fit
from fairway.training.options import Options
from fairway.training.prepare import prepare

ONE = {"components": 1, "iterations": 2, "prior": 0.0}


def test_rows_are_split_once_and_for_all_by_the_seed(x, small):
    options = {k: v for k, v in small.items() if k != "batch_size"}
    task, again = (prepare("real_nvp", x, Options(validation=0.25, seed=4), options) for _ in range(2))
    assert torch.equal(task.train.x, again.train.x) and torch.equal(task.held_out.x, again.held_out.x)
    both = torch.cat([task.train.x, task.held_out.x])
    assert torch.equal(both[both[:, 0].argsort()], x[x[:, 0].argsort()]) and len(task.held_out) == 50
    other = prepare("real_nvp", x, Options(validation=0.25, seed=5), options)
    assert not torch.equal(other.held_out.x, task.held_out.x)
    assert torch.equal(task.table.x, x)


# -- data -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("data", "says"),
    [
        (np.zeros((0, 2)), "at least one row"),
        (np.ones((9, 2)), "constant column 0"),
        ([[1.0, np.inf]] * 3 + [[2.0, 1.0]], "infinity at index"),
        ([[1.0, np.nan], [2.0, 1.0], [3.0, 4.0]], "NaN"),
        ([["a", "b"]], "expected x as numbers"),
        (np.zeros(5), r"x\[:, None\]"),
        (np.array([{}, {}]), "expected x as numbers"),
    ],
)
def test_data_that_cannot_be_learned(data, says):
    with pytest.raises(ValueError, match=says):
        fit("real_nvp", data, steps=1)


def test_a_built_model_knows_its_event():
    """The values happen to be few: a model that was built for five levels keeps five."""
    x = torch.randint(0, 3, (50, 2), generator=torch.Generator().manual_seed(0))
    model = Independent(Event((2,), "category", levels=5))
    assert fit(model, x) is model
    assert model.log_prob(torch.tensor([[4, 4]])).exp() > 0
    with pytest.raises(ValueError, match=r"in 0\.\.4"):
        fit(model, x + 4)
    with pytest.raises(ValueError, match=r"expected .* of shape \(\.\.\., 2\)"):
        fit(model, x[:, :1])


# -- precision ------------------------------------------------------------------------------------------------------
def test_solvers_keep_float64_and_networks_are_float32(x, small):
    assert fit("gmm", x.double(), **ONE).dtype == torch.float64
    assert fit("gmm", x, **ONE).dtype == torch.float32
    assert fit("gmm", x.half().float().bfloat16(), **ONE).dtype == torch.float32
    assert fit("gmm", torch.arange(60).reshape(30, 2) % 7, **ONE).dtype == torch.float32
    assert fit("real_nvp", x.double(), steps=1, **small).dtype == torch.float32


def test_precision_can_be_asked_for(x, small):
    assert fit("real_nvp", x, steps=1, dtype="float64", **small).dtype == torch.float64
    assert fit("gmm", x.double(), dtype=torch.float32, **ONE).dtype == torch.float32
    for wrong in ("int64", "float63", torch.int32):
        with pytest.raises(ValueError, match="expected dtype as float32 or float64"):
            fit("gmm", x, dtype=wrong, **ONE)


# -- units ----------------------------------------------------------------------------------------------------------
def test_units_are_measured_on_the_training_rows_alone(x, small):
    x[0] = torch.tensor([1e6, 1e6])  # one wild row
    with_it = [fit("real_nvp", x, steps=1, seed=s, validation=0.5, **small).preprocess.mean[0] > 2e3 for s in range(8)]
    assert 0 < sum(map(bool, with_it)) < 8


def test_units_of_ones_own(x):
    assert type(fit("gmm", x, preprocess=False, **ONE).preprocess).__name__ == "Identity"
    units = Standardise(Event((2,)))
    assert fit("gmm", x, preprocess=units, **ONE).preprocess is units
    with pytest.raises(ValueError, match="was built for"):
        fit("gmm", x, preprocess=Standardise(Event((3,))), **ONE)


# -- context, weights, held-out rows --------------------------------------------------------------------------------
def test_context_moves_the_model(x, small):
    label = (x[:, 0] > 1000).long()
    model = fit("real_nvp", x, context=label, steps=300, lr=1e-2, **small)
    drawn = model.sample(200, context=torch.tensor([0, 1]), generator=0)[..., 0].mean(1)
    assert float(drawn[1] - drawn[0]) > 40
    assert model.context_event == Event((), "category", levels=2)


def test_labels_of_a_data_set_by_word(x, small):
    data = Dataset(x, Event((2,)), labels=(x[:, 0] > 1000).long())
    assert fit("real_nvp", data, context="labels", steps=1, **small).context_event.levels == 2
    named = Dataset(x, Event((2,)), labels=data.labels, label_names=("low", "high", "absent"))
    assert prepare("real_nvp", named, Options(context="labels"), {}).model.context_event.levels == 3
    maps = torch.arange(16).reshape(1, 4, 4).repeat(6, 1, 1) % 5
    images = Dataset(torch.rand(6, 4, 4), Event((4, 4), "bounded", low=0.0, high=1.0), labels=maps)
    task = prepare("pix2pix", images, Options(context="labels"), {"latent": 2, "hidden": (4,)})
    assert task.model.context_event == Event((4, 4), "category", levels=5)  # five planes, not one of numbers 0..4
    with pytest.raises(ValueError, match="'labels' for data that have them"):
        fit("real_nvp", x, context="labels", steps=1, **small)


def test_contexts_that_do_not_fit(x, small):
    with pytest.raises(ValueError, match=r"as many contexts as rows \(200\), got 3"):
        fit("real_nvp", x, context=[0, 1, 0], steps=1, **small)
    with pytest.raises(ValueError, match="gmm takes no context"):
        fit("gmm", x, context=(x[:, 0] > 1000).long(), **ONE)
    with pytest.raises(ValueError, match="expected finite"):
        fit("real_nvp", x, context=torch.full((200, 1), torch.nan), steps=1, **small)
    with pytest.raises(ValueError, match="expected finite context"):
        fit("real_nvp", x, context=torch.where(x > 1000, torch.nan, x), steps=1, **small)
    with seeded(0):
        conditional = RealNVP(Event((2,)), Event((1,)), transforms=2, hidden=(4,))
        plain = RealNVP(Event((2,)), transforms=2, hidden=(4,))
    with pytest.raises(ValueError, match=r"is conditional on .*: pass context="):
        fit(conditional, x, steps=1)
    with pytest.raises(ValueError, match="was built without context_event; got a context"):
        fit(plain, x, context=x[:, :1], steps=1)


def test_whole_weights_are_repeated_rows(x):
    count = torch.arange(200) % 4
    weighted = fit("gmm", x.double(), weights=count, preprocess=False, floor=0.0, **ONE)
    repeated = fit("gmm", x.double().repeat_interleave(count, 0), preprocess=False, floor=0.0, **ONE)
    torch.testing.assert_close(weighted.means, repeated.means)
    torch.testing.assert_close(weighted.covariances(), repeated.covariances())


def test_weights_pull_a_network(x, small):
    left = (x[:, 0] < 1000).float() * 0.98 + 0.01
    model = fit("real_nvp", x, weights=left, steps=300, lr=5e-3, **small)
    share = float((model.sample(2000, generator=0)[:, 0] < 1000).double().mean())
    assert share > 0.8


@pytest.mark.parametrize("weights", [[1.0] * 3, -np.ones(200), np.zeros(200), np.full(200, np.nan), np.ones((200, 1))])
def test_weights_that_cannot_be(weights, x):
    with pytest.raises(ValueError, match=r"expected weights as \(200,\) finite numbers >= 0"):
        fit("gmm", x, weights=weights, **ONE)


def test_nothing_is_held_out_where_nothing_is_asked(x, small):
    seen = {}

    class Look(Callback):
        def on_step(self, run):
            seen[run.plan.seed] = (len(run.batches.table), run.monitor)

    history = fit("real_nvp", x, steps=3, validation=0, callbacks=[Look()], seed=1, **small).history
    assert seen[1] == (200, None)
    assert history.monitor is None and history.best_step == 0 and not history.curve("monitor")
    fit("real_nvp", x, steps=3, validation=0.25, callbacks=[Look()], seed=2, **small)
    assert seen[2][0] == 150 and len(seen[2][1].table) == 50


def test_solvers_learn_from_all_rows(x):
    model = fit("gmm", x.double(), floor=0.0, preprocess=False, **ONE)
    torch.testing.assert_close(model.means[0], x.double().mean(0))


# -- rows that stay on disk -----------------------------------------------------------------------------------------
FIVE = {"steps": 5, "transforms": 2, "hidden": (8,), "batch_size": 32}


@pytest.fixture
def mapped(x, tmp_path):
    np.save(tmp_path / "x.npy", x.numpy())
    return np.load(tmp_path / "x.npy", mmap_mode="r")


@pytest.mark.parametrize("entries", [40, 1 << 22], ids=["many chunks", "one chunk"])
@pytest.mark.parametrize("more", [{}, {"context": True, "weights": True}], ids=["plain", "context and weights"])
def test_a_mapped_array_learns_what_the_array_in_memory_does(x, mapped, more, entries, monkeypatch):
    monkeypatch.setattr(extent, "ENTRIES", entries)
    given = {name: (x[:, 0] > 1000).long() if name == "context" else x[:, 1].abs() for name in more}
    a, b = (fit("real_nvp", data, **given, **FIVE) for data in (x, mapped))
    assert all(torch.equal(p, q) for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True))
    assert a.history.curve("loss") == b.history.curve("loss")


def test_a_mapped_array_is_never_copied_as_a_whole(mapped):
    sizes = []

    class Look(Callback):
        def on_step(self, run):
            assert run.batches.table.x.data_ptr() == mapped.ctypes.data
            assert run.batches._ready is None and len(run.monitor.table.x) == 20
            sizes.append(len(run.batches.table))

    fit("real_nvp", mapped, callbacks=[Look()], **FIVE)
    assert sizes == [180] * 5


def test_solvers_read_mapped_rows_in_chunks_or_refuse(x, mapped, monkeypatch):
    monkeypatch.setattr(extent, "ENTRIES", 40)
    a, b = (fit("gmm", data, **ONE) for data in (x, mapped))
    torch.testing.assert_close(a.means, b.means)
    monkeypatch.setattr("fairway.training.batches._memory", lambda: 3000)
    with pytest.raises(ValueError, match="expected data that fit into memory for what needs all 200 rows at once"):
        fit("gmm", mapped, **ONE)


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta:x", ""])
def test_a_device_that_is_not_here_is_refused(device, x, small):
    with pytest.raises(ValueError, match="expected device among auto, cpu"):
        fit("real_nvp", x, device=device, steps=1, **small)
