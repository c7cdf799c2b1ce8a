"""Sums about known points: they add, and give the moments whatever the points are."""

import itertools
import math

import pytest
import torch

from fairway.core.random import Rows
from fairway.objectives.em_sums import Sums, chunks, responsibilities, total_weight


def test_moments_do_not_depend_on_the_points():
    x, point = Rows(0, 50, dtype=torch.float64).normal(3), torch.tensor([1.0, -2.0, 0.5]).double()
    for second in (lambda c: (c.mT @ c).unsqueeze(0), lambda c: c.square().sum(0, keepdim=True)):
        centred, count = x - point, torch.tensor([50.0]).double()
        sums = Sums(torch.zeros(()), count, count, centred.sum(0, keepdim=True), second(centred))
        moments, about_mean = sums.moments(), x - x.mean(0)
        torch.testing.assert_close(moments.means[0] + point, x.mean(0))
        torch.testing.assert_close(moments.scatter, second(about_mean))


def test_one_process_has_the_sums_it_has():
    sums = Sums.zeros(2, 3, 3, device=torch.device("cpu"))
    sums.count += 2
    again = sums.over_processes()
    assert torch.equal(again.count, sums.count) and again.second.shape == (2, 3, 3) and again.weight.shape == ()


def test_a_component_without_rows_has_finite_moments():
    moments = Sums.zeros(2, 3, 3, device=torch.device("cpu")).moments()
    assert bool(moments.means.isfinite().all() and moments.scatter.isfinite().all())


def test_chunks_are_every_row_once_and_no_power_of_two():
    for rows in (0, 1, 7, 10_000, 123_457):
        found = chunks(rows, 64, torch.device("cpu"), 512)
        assert sum(part.stop - part.start for part in found) == rows
        assert all(a.stop == b.start for a, b in itertools.pairwise(found))
    assert chunks(123_457, 64, torch.device("cpu"))[0].stop % 16 == 8


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_responsibilities_are_a_softmax_without_subnormal_numbers(dtype):
    joint = torch.tensor([[0.0, -1e4], [-2.0, -1e4 + 3], [-500.0, -3e4]], dtype=dtype)
    expected, density, weighted = joint.softmax(0), joint.logsumexp(0).double(), joint.clone()
    torch.testing.assert_close(responsibilities(joint), density.sum())
    torch.testing.assert_close(joint, expected)
    assert float(joint.min()) >= torch.finfo(dtype).tiny
    weight = torch.tensor([0.5, 2.0], dtype=dtype)
    torch.testing.assert_close(responsibilities(weighted, weight), (density * weight).sum())
    torch.testing.assert_close(weighted, expected * weight)


def test_rows_without_weights_count_one_each():
    assert float(total_weight(3, None, torch.device("cpu"))) == 3.0
    assert math.isclose(float(total_weight(3, torch.tensor([0.5, 1.0, 0.0]), torch.device("cpu"))), 1.5)
