"""Rows by index, copied where they are in memory; of a table that stays on disk only an index is kept."""

import torch

from fairway.data.order import Shuffle
from fairway.training.table import Table


def table(**more):
    x = torch.arange(20.0).reshape(10, 2)
    return Table(x, torch.arange(10), torch.arange(10.0), **more)


def test_a_part_of_a_table_in_memory_is_a_copy():
    part = table().part(torch.tensor([7, 3]))
    assert part.index is None and part.x.tolist() == [[14, 15], [6, 7]]
    assert part.context.tolist() == [7, 3] and part.weight.tolist() == [7, 3]


def test_a_part_of_a_table_that_stays_is_an_index():
    whole = table(device=torch.device("cpu"))
    part = whole.part(torch.tensor([7, 3, 5]))
    assert part.x is whole.x and len(part) == 3
    rows = part.rows(torch.tensor([2, 0]))
    assert rows.x.tolist() == [[10, 11], [14, 15]] and rows.context.tolist() == [5, 7]
    assert rows.device is None and rows.index is None, "rows are in memory"
    assert float(part.weight_of(torch.tensor([0, 1]))) == 10


def test_parts_by_a_long_order():
    order = Shuffle(10, 4)
    expected = order.to_tensor()[3:]
    lazy, copied = table(device=torch.device("cpu")).part(order[3:]), table().part(order[3:])
    assert len(lazy) == len(copied) == 7
    everything = torch.arange(7)
    assert torch.equal(lazy.rows(everything).context, expected) and torch.equal(copied.context, expected)
    assert torch.equal(lazy.rows(everything).x, copied.x)


def test_the_first_rows():
    assert table().first(3).tolist() == [0, 1, 2]
    assert len(table().first(99)) == len(table().first(None)) == 10
