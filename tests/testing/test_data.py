"""Random data for any event: in its support, at awkward scales, seeded, and shifted by the context."""

import pytest
import torch

from fairway.core.event import Event
from fairway.testing.data import LENGTH, scale_of, tiny_context, tiny_data, with_gaps, without_gaps

EVENTS = [
    Event((3,)),
    Event((2, 4, 4)),
    Event(()),
    Event((2,), "bounded", low=-3, high=-1),
    Event((2,), "positive"),
    Event((2,), "binary"),
    Event((2, 2), "integer", low=-2, high=30),
    Event((), "category", levels=4),
    Event((2,), missing=True),
]


@pytest.mark.parametrize("event", EVENTS, ids=str)
def test_data_lie_in_the_support_and_use_all_of_it(event):
    x = tiny_data(event, 400)
    event.check_data(x)
    assert x.shape == (400, *event.shape) and x.is_floating_point() is not event.counted
    assert torch.equal(tiny_data(event, 400).nan_to_num(), x.nan_to_num())
    assert not torch.equal(tiny_data(event, 400, seed=1).nan_to_num(), x.nan_to_num())
    if event.counted:
        assert len(x.unique()) == event.levels
    assert scale_of(event).shape == event.shape


def test_tables_have_awkward_scales_and_correlated_columns():
    x = tiny_data(Event((3,)), 2000)
    assert torch.allclose(x.mean(0), torch.tensor([1000, -7e-3, 1000]).double(), rtol=0.05)
    assert torch.allclose(x.std(0) / scale_of(Event((3,))), torch.tensor([1.72, 1.41, 1.41]).double(), rtol=0.1)
    assert torch.corrcoef(x.T)[0, 1] > 0.5


def test_the_context_shifts_the_data():
    event, context = Event((1,)), Event((), "category", levels=5)
    c = tiny_context(context, 2000)
    x = tiny_data(event, 2000, context=c)
    assert x[c == 4].mean() > x[c == 0].mean() + 20 and tiny_context(None, 3) is None


def test_variable_lengths():
    assert tiny_data(Event((None,), "tokens", levels=3), 5).shape == (5, LENGTH)


def test_gaps_leave_every_row_its_first_entry():
    x = with_gaps(torch.zeros(500, 3))
    assert not x[:, 0].isnan().any() and 0.1 < float(x[:, 1:].isnan().double().mean()) < 0.3
    filled = without_gaps(torch.tensor([[1.0, float("nan")], [3.0, 5.0]]))
    assert filled.tolist() == [[1.0, 5.0], [3.0, 5.0]]
