"""Rows, their units, and draws."""

import pytest
import torch

from fairway.core.event import Event
from fairway.metrics.divergence import draw_like, relative_to
from fairway.metrics.divergence.rows import rows_of, two_sets


def test_units_of_a_table_are_its_columns_and_of_images_one():
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(1000, 2, generator=generator) * torch.tensor([40.0, 3e-3]) + torch.tensor([1000, -7e-3])
    assert torch.allclose(relative_to(table), torch.tensor([40.0, 3e-3], dtype=torch.float64), rtol=0.1)
    images = torch.randn(100, 4, 4, generator=generator) * torch.linspace(0, 2, 16).reshape(4, 4)
    assert relative_to(images).unique().numel() == 1
    assert relative_to(torch.ones(5, 2)).tolist() == [1.0, 1.0]


def test_rows_are_flat_and_in_double_precision():
    assert rows_of(torch.zeros(3, 4, 5)).shape == (3, 20) and rows_of([[1, 2]]).dtype == torch.float64


def test_one_draw_per_context_or_n_without(normal):
    model = normal(Event((3,))).eval()
    assert draw_like(model, 5, None, 0).shape == (5, 3)
    assert torch.equal(draw_like(model, 5, None, 0), model.sample(5, generator=0))


def test_what_has_no_distance_is_refused():
    with pytest.raises(ValueError, match="as many entries"):
        two_sets(torch.ones(2, 3), torch.ones(2, 4))
    with pytest.raises(ValueError, match="finite values in y"):
        two_sets(torch.ones(2, 3), torch.full((2, 3), float("nan")))
    with pytest.raises(ValueError, match=r"shape \(n, \*E\)"):
        rows_of(torch.ones(3))
    with pytest.raises(ValueError, match="at least 5 rows in x and in y, got 9 and 4"):
        two_sets(torch.ones(9, 3), torch.ones(4, 3), least=5)
