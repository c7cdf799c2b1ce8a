"""What the critic is told of the batch: known values, 0 where all rows agree, and no more rows than the group."""

import pytest
import torch

from fairway.networks.minibatch import MinibatchDiscrimination, MinibatchStandardDeviation


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def deviation(h, group=4):
    return MinibatchStandardDeviation(group)(h)[:, -1]


def test_a_collapsed_batch_is_seen():
    h = normal(1, 3, 2, 2).expand(8, 3, 2, 2)
    assert (deviation(h) == 0).all() and float(deviation(normal(8, 3, 2, 2)).min()) > 0.1


def test_the_value_of_known_rows():
    """Half of the entries are +-1, the others constant: deviations 1 and 0, mean 1/2."""
    sign = torch.tensor([1.0, -1.0, 1.0, -1.0]).reshape(4, 1, 1, 1)
    h = torch.cat([sign.expand(4, 1, 2, 2), torch.full((4, 1, 2, 2), 7.0)], 1)
    told = MinibatchStandardDeviation()(h)
    torch.testing.assert_close(told[:, :2], h)
    torch.testing.assert_close(told[:, 2], torch.full((4, 2, 2), 0.5), atol=1e-3, rtol=0)


def test_groups_do_not_see_one_another():
    h = normal(10, 3, 2, 2)
    other = torch.cat([h[:4], h[4:5] + 3, h[5:]])
    before, after = deviation(h)[:, 0, 0], deviation(other)[:, 0, 0]
    assert torch.equal(before[:4], after[:4]) and torch.equal(before[8:], after[8:])
    assert (before[4:8] != after[4:8]).all() and len(set(before[4:8].tolist())) == 1
    torch.testing.assert_close(before[8:], deviation(h[8:])[:, 0, 0])  # what is left is a group, too


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 64])
def test_any_number_of_rows_will_do(rows):
    assert deviation(normal(rows, 3, 4, 4)).shape == (rows, 4, 4)
    assert MinibatchDiscrimination(3, kernels=5, inner=2).double()(normal(rows, 3)).shape == (rows, 8)


def test_a_lone_row_has_no_deviation_and_no_neighbours():
    assert (deviation(normal(1, 3, 2, 2)) == 0).all()
    assert (MinibatchDiscrimination(3, kernels=5).double()(normal(1, 3))[:, 3:] == 0).all()


def test_slopes_of_slopes_are_finite_where_rows_agree():
    h = torch.ones(4, 2, 2, 2, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(deviation(h).sum(), h, create_graph=True)
    (second,) = torch.autograd.grad(slope.square().sum() + slope.sum(), h)
    assert slope.isfinite().all() and second.isfinite().all()


def test_discrimination_is_the_formula_of_the_paper_over_the_others():
    layer, f = MinibatchDiscrimination(3, kernels=4, inner=2, group=5).double(), normal(5, 3, seed=1)
    m = (f @ layer.project.weight.T).reshape(5, 4, 2)
    wanted = torch.zeros(5, 4, dtype=torch.float64)
    for i in range(5):
        for j in set(range(5)) - {i}:
            wanted[i] += torch.exp(-(m[i] - m[j]).abs().sum(1)) / 4
    told = layer(f)
    torch.testing.assert_close(told, torch.cat([f, wanted], 1))


def test_discrimination_sees_a_collapsed_batch_and_a_spread_one():
    layer, f = MinibatchDiscrimination(3, kernels=4).double(), normal(6, 3)
    assert torch.allclose(layer(f[:1].expand(6, 3))[:, 3:], torch.ones(6, 4, dtype=torch.float64))
    assert bool((layer(1e4 * f)[:, 3:] < 1e-6).all())


def test_a_group_of_one_says_nothing():
    with pytest.raises(ValueError, match="expected group as an integer of at least 2, got 1"):
        MinibatchStandardDeviation(group=1)
