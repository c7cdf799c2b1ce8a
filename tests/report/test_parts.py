"""The same two sets of rows for every model, disjoint and repeatable."""

import numpy as np
import pytest
import torch

from fairway.core.event import Event
from fairway.data.dataset import Dataset
from fairway.report.parts import hand_over, split_parts


@pytest.fixture
def data():
    x = torch.arange(100.0)[:, None] + torch.tensor([0.0, 0.5])
    return Dataset(x, Event((2,)), labels=torch.arange(100) % 3, source="somewhere.npy")


def first(x):
    return set(x[:, 0].tolist())


def test_rows_train_or_judge_never_both(data):
    parts = split_parts(data, None, None, seed=3, limit=1000)
    assert len(parts.train) == 80 and len(parts.held) == 20
    assert first(parts.train.x) | first(parts.held.x) == first(data.x)
    assert not first(parts.train.x) & first(parts.held.x)
    assert parts.part == {"holdout": 0.2, "seed": 3}
    assert torch.equal(parts.train.x, data.split(0.2, 3)[0].x)  # what `evaluate` finds again


def test_a_limit_keeps_some_of_the_same_rows(data):
    few, all_of = (split_parts(data, None, 0.5, 0, limit) for limit in (10, 1000))
    assert len(few.held) == 10 and torch.equal(few.held.x, all_of.held.x[:10])


def test_labels_as_context_stay_with_their_rows(data):
    parts = split_parts(data, "labels", 0.2, 0, 1000)
    assert torch.equal(parts.context, parts.train.labels) and torch.equal(parts.held_context, parts.held.labels)
    assert torch.equal(parts.held_context, parts.held.x[:, 0].long() % 3)
    given = split_parts(data, data.x[:, :1] * 2, 0.2, 0, 1000)
    assert torch.equal(given.held_context, given.held.x[:, :1] * 2)


def test_the_publishers_split_is_taken_where_there_is_one(data):
    test = Dataset(data.x[:9] + 1000, data.event, labels=data.labels[:9])
    official = Dataset(data.x, data.event, labels=data.labels, source="somewhere.npy", test=test)
    parts = split_parts(official, "labels", None, 0, 1000)
    assert len(parts.train) == 100 and parts.held.x.min() >= 1000 and parts.part["holdout"] is None
    assert torch.equal(parts.held_context, parts.held.labels)
    assert len(split_parts(official, None, 0.2, 0, 1000).train) == 80
    with pytest.raises(ValueError, match="context='labels'"):
        split_parts(official, data.x, None, 0, 1000)


def test_an_array_cannot_be_found_again(data):
    assert split_parts(Dataset(data.x, data.event), None, None, 0, 1000).part is None


def test_what_does_not_fit_is_refused(data):
    with pytest.raises(ValueError, match="at least 4 held-out rows"):
        split_parts(data, None, 0.02, 0, 1000)
    with pytest.raises(ValueError, match="as many contexts as rows"):
        split_parts(data, torch.ones(3), None, 0, 1000)
    with pytest.raises(ValueError, match="or 'labels' for data that have them"):
        split_parts(Dataset(data.x, data.event), "labels", None, 0, 1000)


def test_rows_are_handed_over_as_they_are(data, tmp_path):
    parts = split_parts(data, "labels", None, 0, 1000)
    files = hand_over(parts, tmp_path / "rows")
    assert set(files) == {"train", "held_out", "train_context", "held_out_context"}
    assert np.array_equal(np.load(files["train"], allow_pickle=False), parts.train.x.numpy())
    assert np.array_equal(np.load(files["held_out_context"], allow_pickle=False), parts.held_context.numpy())
