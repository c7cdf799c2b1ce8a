"""Filters that see what they are for, and counts that are the quantiles they were set to."""

import math

import pytest
import torch

from fairway.core.random import Rows
from fairway.networks.filter_bank import ImageStatistics, VectorStatistics


def wave(wavelength, angle, size=32):
    axis = torch.arange(float(size))
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return (2 * math.pi * (x * math.cos(angle) + y * math.sin(angle)) / wavelength).sin().unsqueeze(0)


def test_filters_have_norm_one_and_mean_zero():
    bank = ImageStatistics((16, 16), wavelengths=(3.0, 5.0))
    for k in range(bank.scales):
        filters = getattr(bank, f"bank{k}").flatten(1)
        torch.testing.assert_close(filters.norm(dim=1), torch.ones(len(filters)))
        torch.testing.assert_close(filters.sum(1), torch.zeros(len(filters)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("wavelength", [3.0, 6.0])
@pytest.mark.parametrize("orientation", range(4))
def test_a_wave_answers_to_its_own_gabor_filters(wavelength, orientation):
    bank = ImageStatistics((32, 32), wavelengths=(3.0, 6.0), orientations=4)
    groups = bank.responses(wave(wavelength, math.pi * orientation / 4))
    power = torch.cat([r[0].square().mean(1) for r in groups[2:]])  # (2 scales) x (Laplacian, 4 x even and odd)
    gabor = power.reshape(2, 9)[:, 1:].reshape(2, 4, 2).sum(2)
    assert int(gabor.argmax()) == {3.0: 0, 6.0: 4}[wavelength] + orientation


def test_levels_are_quantiles_of_the_data():
    u = Rows(0, 400).normal(2, 12, 12).exp()
    bank = ImageStatistics((2, 12, 12), levels=4)
    bank.fit(u)
    for part, r in zip(bank.edges.split([r.shape[1] for r in bank.responses(u)]), bank.responses(u), strict=True):
        below = (r.unsqueeze(2) < part.unsqueeze(2)).double().mean((0, 3))
        shares = torch.tensor([0.2, 0.4, 0.6, 0.8]).double().expand_as(below)
        torch.testing.assert_close(below, shares, atol=5e-3, rtol=0)
    h = bank(u)
    assert h.shape == (400, bank.outputs) and bool(((h > 0) & (h < 1)).all())


def test_channels_have_statistics_of_their_own():
    bank, u = ImageStatistics((2, 8, 8), levels=3), Rows(0, 3).normal(2, 8, 8)
    louder = u * torch.tensor([1.0, 3.0]).reshape(1, 2, 1, 1)
    changed = (bank(louder) - bank(u)).abs().amax(0) > 1e-6
    assert int(changed.sum()) == bank.outputs // 2


def test_directions_tell_correlated_entries_from_independent_ones():
    """Both laws have standard normal entries."""
    bank, e = VectorStatistics(2, levels=9), Rows(0, 4000).normal(2)
    correlated = torch.stack([e[:, 0], 0.8 * e[:, 0] + 0.6 * e[:, 1]], 1)
    gap = (bank(correlated).mean(0) - bank(e).mean(0)).abs().reshape(4, 9).amax(1)
    assert float(gap[:2].max()) < 0.02 and float(gap[2:].min()) > 0.05


def test_many_entries_get_random_directions_and_bad_banks_are_refused():
    assert VectorStatistics(10, levels=3).outputs == (10 + 40) * 3
    with pytest.raises(ValueError, match="levels"):
        VectorStatistics(2, levels=0)
    with pytest.raises(ValueError, match="wavelengths > 2"):
        ImageStatistics((8, 8), wavelengths=(1.5,))
