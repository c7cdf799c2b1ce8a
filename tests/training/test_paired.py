"""Two samples that do not pair up: both are seen whole, held out and measured apart, and nothing relies on pairs."""

import json

import numpy as np
import pytest
import torch

from fairway.core.random import generator_for
from fairway.objectives.mle import MLE
from fairway.training import checkpoint
from fairway.training.callbacks import Callback
from fairway.training.files import BrokenFolder
from fairway.training.fit import fit
from fairway.training.options import Options
from fairway.training.paired import Unpaired, refuse_unpaired, split_unpaired
from fairway.training.prepare import prepare
from fairway.training.table import Table

CPU = torch.device("cpu")


class Apart(MLE):
    """Says that it compares no row with its context; watches held-out rows."""

    matched = False


def numbered(n, start=0):
    """(n, 2) rows that say their number."""
    return (torch.arange(n) + start).float().unsqueeze(1).repeat(1, 2)


def numbers(x):
    return x[:, 0].long().tolist()


def two(n, m, share=0.0, seed=0):
    return split_unpaired(Table(numbered(n), numbered(m, 1000)), share, seed, CPU)


# -- what is seen ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("n", "m"), [(7, 7), (7, 3), (3, 7)])
def test_an_epoch_shows_the_longer_side_once_and_the_shorter_one_as_evenly_as_it_goes(n, m):
    train = two(n, m).train
    assert len(train) == 7
    batches = train.reader(0, 7, (0, 1))
    for k in range(3):
        rows = train.rows(batches(k))
        for side, count, start in ((rows.x, n, 0), (rows.context, m, 1000)):
            seen = torch.bincount(side[:, 0].long() - start, minlength=count)
            assert len(seen) == count and seen.min() >= 7 // count and seen.max() <= -(-7 // count)


def test_no_row_keeps_the_context_it_came_with():
    rows = two(500, 500).train
    rows = rows.rows(rows.first(None))
    assert numbers(rows.x) == list(range(500))
    assert sum(c == x + 1000 for x, c in zip(numbers(rows.x), numbers(rows.context), strict=True)) < 6
    other = two(500, 500, seed=1).train
    assert numbers(other.rows(other.first(None)).context) != numbers(rows.context)


def test_both_sides_are_held_out_from_in_the_same_share():
    parts = two(40, 100, share=0.2)
    train, held_out = (part.rows(part.first(None)) for part in (parts.train, parts.held_out))
    for name, count, start in (("x", 40, 0), ("context", 100, 1000)):
        kept, away = (set(numbers(getattr(rows, name))) for rows in (train, held_out))
        assert not kept & away and kept | away == set(range(start, start + count))
        assert len(away) == count // 5
    assert parts.table.x.shape == (40, 2)


def test_units_are_those_of_each_sides_training_rows_once_each():
    """Of 3 and 7 rows an epoch shows one of the three thrice: a mean over what is shown would be another."""
    parts = two(3, 7)
    assert [numbers(part) for part in parts.measured("x", CPU)] == [[0, 1, 2]]
    assert sorted(n for part in parts.measured("context", CPU) for n in numbers(part)) == list(range(1000, 1007))
    held = two(40, 100, share=0.2)
    rows = held.train.rows(held.train.first(None))
    measured = {n for part in held.measured("x", CPU) for n in numbers(part)}
    assert measured == set(numbers(rows.x))


def test_rows_come_with_the_map_of_a_stage():
    train = two(4, 9).train
    mapped = Unpaired(train.samples, train.contexts, train.order, CPU, map=torch.neg)
    assert mapped.rows(torch.tensor([0])).map is torch.neg and mapped.rows(torch.tensor([8])).x.shape == (1, 2)


# -- fit ------------------------------------------------------------------------------------------------------------
@pytest.fixture
def contexts():
    return torch.randn(130, 1, generator=torch.Generator().manual_seed(5)) * 3 + 7


def test_a_fit_from_two_samples(x, contexts, small):
    seen = []

    class Look(Callback):
        def on_step(self, run):
            seen.append((len(run.batches.table), len(run.monitor.table), run.batches.all(3).context.shape))

    model = fit("real_nvp", x, context=contexts, paired=False, objective=Apart(), steps=2, callbacks=[Look()], **small)
    assert seen[0] == (180, 20, (3, 1))
    task = prepare("real_nvp", x, Options(context=contexts, paired=False, objective=Apart()), {})
    kept = task.train.contexts.x.double()
    assert len(kept) == 117
    torch.testing.assert_close(model.context_preprocess.mean, kept.mean(0))
    assert model.sample(3, context=contexts[:2], generator=0).shape == (2, 3, 2)


def test_what_rows_say_of_their_contexts_is_not_learned(x, small):
    """x is its own context: a model told the pairs draws rows near it, one told two samples does not."""

    def spread(paired):
        model = fit("real_nvp", x, context=x, paired=paired, objective=Apart(), steps=300, lr=1e-2, **small)
        return float(model.sample(50, context=x[:40], generator=0)[..., 0].std(1).mean() / x[:, 0].std())

    assert spread(True) < 0.4 and spread(False) > 0.7


def test_a_mapped_file_learns_the_same_and_is_not_copied(x, small, tmp_path):
    np.save(tmp_path / "x.npy", x.numpy())
    mapped, longer = np.load(tmp_path / "x.npy", mmap_mode="r"), torch.randn(300, 1, generator=generator_for(1))

    class Look(Callback):
        def on_step(self, run):
            assert run.batches.table.x.data_ptr() == mapped.ctypes.data and len(run.batches.table) == 270

    options = {"context": longer, "paired": False, "objective": Apart(), "steps": 3, **small}
    one, other = fit("real_nvp", mapped, callbacks=[Look()], **options), fit("real_nvp", x, **options)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_a_resumed_run_ends_in_the_same_bits(x, contexts, small, tmp_path):
    class Killed(BaseException):
        pass

    class Cut(Callback):
        def on_step(self, run):
            if run.step == 4:
                checkpoint.write(run.out, run.state())
                raise Killed

    options = {"context": contexts, "objective": Apart(), "steps": 9, **small}
    whole = fit("real_nvp", x, paired=False, **options)
    with pytest.raises(Killed):
        fit("real_nvp", x, paired=False, out=tmp_path, callbacks=[Cut()], **options)
    with pytest.raises(BrokenFolder, match="the data changed"):
        fit("real_nvp", x, paired=False, out=tmp_path, resume=True, **{**options, "context": contexts[1:]})
    resumed = fit("real_nvp", x, paired=False, out=tmp_path, resume=True, **options)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))
    assert json.loads((tmp_path / "config.json").read_text())["fit"]["paired"] is False


@pytest.mark.parametrize("began", [True, False])
def test_a_run_from_pairs_does_not_go_on_unpaired(began, x, small, tmp_path):
    options = {"context": x[:, :1], "objective": Apart(), "steps": 3, "out": tmp_path, **small}
    fit("real_nvp", x, paired=began, **options)
    with pytest.raises(BrokenFolder, match="was started with unpaired"):
        fit("real_nvp", x, resume=True, paired=not began, **options)


# -- what is refused ------------------------------------------------------------------------------------------------
def test_who_learns_from_pairs_refuses_two_samples(x, contexts, small):
    with pytest.raises(ValueError, match="mle learns from rows and contexts that belong together: leave paired=False"):
        fit("real_nvp", x, context=contexts, paired=False, steps=1, **small)
    with pytest.raises(ValueError, match=r"as many contexts as rows \(200\), got 130; two samples need paired=False"):
        fit("real_nvp", x, context=contexts, objective=Apart(), steps=1, **small)


def test_what_two_samples_do_not_have(x, contexts, small):
    with pytest.raises(ValueError, match=r"expected context=\.\.\. with paired=False \(the other sample\), got none"):
        fit("real_nvp", x, paired=False, objective=Apart(), steps=1, **small)
    with pytest.raises(ValueError, match="a weight is of a row and its context together"):
        fit("real_nvp", x, context=contexts, weights=torch.ones(200), paired=False, objective=Apart(), **small)
    with pytest.raises(ValueError, match="got a stream"):
        refuse_unpaired(Apart(), "labels", None, streams=True)
    with pytest.raises(ValueError, match="expected paired as True or False, got 'no'"):
        fit("real_nvp", x, context=contexts, paired="no", **small)
