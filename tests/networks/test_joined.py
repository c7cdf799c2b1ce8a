import torch

from fairway.core.event import Event
from fairway.networks.joined import joined, width


def test_parts_are_flattened_in_order_and_absent_ones_left_out():
    x, c = torch.arange(12.0).reshape(2, 2, 3), torch.tensor([7.0, 8.0])
    assert joined(x, None, c).tolist() == [[0, 1, 2, 3, 4, 5, 7], [6, 7, 8, 9, 10, 11, 8]]


def test_width_counts_the_columns_of_joined():
    events = Event((2, 3)), None, Event(())
    parts = [None if e is None else torch.zeros(5, *e.shape) for e in events]
    assert joined(*parts).shape[1] == width(*events) == 7
