"""Transforms that are uniform when the model is right, for densities, counts and contexts alike."""

import pytest
import torch

from fairway.core.capability import HasSample
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.metrics.calibration.pit import pit, pit_from_cdf, randomised_rank
from fairway.metrics.calibration.uniformity import chi_square_test, ecdf_test


class Dice(HasSample, Model):
    """Entries 0, 1, 2 with probabilities 0.7, 0.2, 0.1."""

    accepts = ("integer",)

    def _sample(self, n, context, rows):
        uniforms = rows.uniform(*self.model_event.shape)
        return (uniforms > 0.7).double() + (uniforms > 0.9)


def test_a_right_model_gives_uniform_values_and_a_narrow_one_does_not(normal):
    model = normal(Event((2,))).eval()
    x = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    right, wide = pit(model, x), pit(model, 1.5 * x)
    assert right.shape == (500, 2) and all(ecdf_test(column).p_value > 0.01 for column in right.T)
    assert all(ecdf_test(column).p_value < 0.001 for column in wide.T)
    assert float(wide.sub(0.5).abs().mean()) > 0.29  # a U shape: the model is too narrow for these rows


def test_counts_are_uniform_too_because_ties_are_broken_at_random():
    model = Dice(Event((1,), "integer", low=0, high=2))
    x = model.sample(600, generator=5)
    assert ecdf_test(pit(model, x)[:, 0]).p_value > 0.01
    share_below = torch.tensor([0.0, 0.7, 0.9]).double()
    at, below = torch.tensor([0.7, 0.9, 1.0]).double()[x[:, 0].long()], share_below[x[:, 0].long()]
    assert chi_square_test(pit_from_cdf(below, at)).p_value > 0.01
    assert chi_square_test(at).p_value < 1e-6  # F(x) itself is far from uniform


def test_the_rank_is_exactly_uniform_at_one_draw_per_row():
    pairs = torch.randn(4000, 2, generator=torch.Generator().manual_seed(1))
    u = randomised_rank(pairs[:, 0], pairs[:, 1:])
    assert chi_square_test(u).p_value > 0.01 and float(u.min()) > 0 and float(u.max()) < 1


def test_a_context_is_one_per_row(posterior, pairs):
    x, c = pairs(400)
    assert all(ecdf_test(column).p_value > 0.01 for column in pit(posterior(), x, c).T)
    assert all(ecdf_test(column).p_value < 0.001 for column in pit(posterior(bias=0.3), x, c).T)
    with pytest.raises(ValueError, match="one context per row, 400 of them, got 7"):
        pit(posterior(), x, c[:7])


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"draws of shape \(n, L, \*\(2,\)\), got \(5, 2\)"):
        randomised_rank(torch.ones(5, 2), torch.ones(5, 2))
    with pytest.raises(ValueError, match=r"0 <= F\(x-\) <= F\(x\) <= 1"):
        pit_from_cdf([0.5], [0.4])


def test_the_seed_decides(normal, rows):
    model = normal(Event((3,))).eval()
    assert torch.equal(pit(model, rows, generator=2), pit(model, rows, generator=2))
    assert not torch.equal(pit(model, rows, generator=2), pit(model, rows, generator=3))
