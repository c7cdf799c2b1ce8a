"""The context of a conditional model, as a command line can say it."""

from types import SimpleNamespace

import pytest
import torch

from fairway.cli.context import labels_of, one_context
from fairway.core.event import Event


def model(event):
    return SimpleNamespace(context_event=event, name=lambda: "made")


CLASSES, PAIR, PLAIN = model(Event((), "category", levels=10)), model(Event((2,))), model(None)
LABELLED = SimpleNamespace(labels=torch.arange(3), name="digits")
BARE = SimpleNamespace(labels=None, name="points")


def test_labels():
    assert labels_of(CLASSES, LABELLED, "labels") is LABELLED.labels
    assert labels_of(PLAIN, LABELLED, None) is None


@pytest.mark.parametrize(
    ("of", "data", "named", "line"),
    [
        (CLASSES, LABELLED, "foo", "expected --context labels, got 'foo'"),
        (CLASSES, LABELLED, None, "made was trained with a context: expected --context labels, got none"),
        (PLAIN, LABELLED, "labels", "made was trained without a context; leave --context out"),
        (CLASSES, BARE, "labels", "expected data with labels for --context labels, but points has none"),
    ],
)
def test_labels_that_do_not_fit(of, data, named, line):
    with pytest.raises(ValueError, match=line):
        labels_of(of, data, named)


def test_one_context():
    assert one_context(PLAIN, None) is None
    label = one_context(CLASSES, "3")
    assert label.shape == () and label.dtype == torch.int64 and int(label) == 3
    assert one_context(PAIR, "0.5, -1").tolist() == [0.5, -1.0]


@pytest.mark.parametrize(
    ("of", "text", "line"),
    [
        (CLASSES, None, "expected --context as 1 whole number, got none"),
        (CLASSES, "3.7", "expected --context as 1 whole number, got '3.7'"),
        (CLASSES, "3,4", "expected --context as 1 whole number, got '3,4'"),
        (PAIR, "1", "expected --context as 2 numbers with commas between, got '1'"),
        (PAIR, "1,x", "expected --context as 2 numbers with commas between, got '1,x'"),
        (PLAIN, "1", "made was trained without a context; leave --context out"),
    ],
)
def test_one_context_that_does_not_fit(of, text, line):
    with pytest.raises(ValueError, match=line):
        one_context(of, text)
