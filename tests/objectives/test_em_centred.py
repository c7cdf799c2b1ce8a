"""Sums about the means, component by component: against one matrix per row, and far from the origin."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch
from fairway.core.random import Rows, seeded
from fairway.models.classical.mixture import GMM
from fairway.objectives import em_centred


def mixture(covariance):
    with seeded(0):
        return GMM(Event((3,)), components=2, covariance=covariance).double()


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@torch.no_grad()
def test_sums_are_sums_over_rows(covariance):
    x, weight, model = (
        Rows(0, 2_000, dtype=torch.float64).normal(3),
        torch.arange(2_000).double() % 3,
        mixture(covariance),
    )
    got = em_centred.sums(model, Batch(x, None, weight))
    r = model.log_joint(x).softmax(1) * weight.unsqueeze(1)
    centred = x.unsqueeze(1) - model.means
    second = torch.einsum("nk,nki,nkj->kij", r, centred, centred)
    torch.testing.assert_close(got.log_prob, (model.log_joint(x).logsumexp(1) * weight).sum())
    torch.testing.assert_close(got.count, r.sum(0))
    torch.testing.assert_close(got.first, torch.einsum("nk,nki->ki", r, centred))
    torch.testing.assert_close(got.second, second if covariance == "full" else second.diagonal(dim1=1, dim2=2))
    assert float(got.weight) == float(weight.sum())


@torch.no_grad()
def test_sums_of_labels_are_per_cluster():
    x, weight = Rows(0, 90, dtype=torch.float64).normal(3), torch.ones(90).double()
    label, centres = torch.arange(90) % 2, torch.ones(2, 3).double()
    got = em_centred.sums_of_labels(mixture("full"), x, weight, label, centres)
    torch.testing.assert_close(got.moments().means + centres, torch.stack([x[::2].mean(0), x[1::2].mean(0)]))
    assert got.count.tolist() == [45, 45] and float(got.weight) == 90


@torch.no_grad()
def test_an_offset_changes_nothing_where_the_means_share_it():
    """Float32 rows at 4,096, where they are still exact: same sums as at 0."""
    x = (Rows(0, 500).normal(3) * 64).round() / 64
    near, far = mixture("full").float(), mixture("full").float()
    near.means.copy_((near.means * 64).round() / 64)
    far.means.copy_(near.means + 4096)
    a, b = em_centred.sums(near, Batch(x)), em_centred.sums(far, Batch(x + 4096))
    torch.testing.assert_close(a.second, b.second, rtol=1e-5, atol=1e-4)
    assert float(a.log_prob) == pytest.approx(float(b.log_prob), rel=1e-6)
