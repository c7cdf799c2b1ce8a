"""Rearrangements: the data's own first, every split as likely as any other, the same for the same seed."""

import pytest
import torch

from fairway.metrics.two_sample.pooled import rearrangements, standardised


def test_the_first_arrangement_is_the_data_and_all_keep_the_sizes():
    chosen = rearrangements(3, 5, 200)
    assert chosen.shape == (201, 8) and chosen[0].tolist() == [1, 1, 1, 0, 0, 0, 0, 0]
    assert set(chosen.unique().tolist()) == {0.0, 1.0} and (chosen.sum(1) == 3).all()


def test_every_split_is_equally_likely():
    chosen = rearrangements(2, 2, 12_000, 1)[1:]
    _, counts = chosen.unique(dim=0, return_counts=True)
    assert len(counts) == 6
    assert float(((counts - 2000.0) ** 2 / 2000).sum()) < 20.5  # chi^2(5) at 0.001


def test_the_seed_decides():
    assert torch.equal(rearrangements(3, 4, 10, 7), rearrangements(3, 4, 10, 7))
    assert not torch.equal(rearrangements(3, 4, 10, 7), rearrangements(3, 4, 10, 8))
    with pytest.raises(ValueError, match="permutations of at least 1, got 0"):
        rearrangements(3, 4, 0)


def test_standardised_columns_have_mean_0_and_variance_1_and_constants_stay_at_0():
    u = standardised(torch.tensor([[1.0, 5.0], [3.0, 5.0], [8.0, 5.0]]).double())
    torch.testing.assert_close(u.mean(0), torch.zeros(2).double(), atol=1e-12, rtol=0)
    assert u[:, 0].var(correction=0).item() == pytest.approx(1) and (u[:, 1] == 0).all()
