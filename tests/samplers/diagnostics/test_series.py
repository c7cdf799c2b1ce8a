"""A trace as scalar series: ranks with ties, quantiles, halves, and draws that say nothing."""

import math
import time

import numpy as np
import pytest
import torch
from scipy.stats import norm, rankdata

from fairway.samplers import diagnostics
from fairway.samplers.diagnostics import series

PER_ENTRY = [
    diagnostics.rhat,
    diagnostics.ess_bulk,
    diagnostics.ess_tail,
    diagnostics.ess_mean,
    diagnostics.ess_sd,
    diagnostics.ess_median,
    diagnostics.ess_raw,
    diagnostics.mcse_mean,
    diagnostics.mcse_sd,
    diagnostics.mcse_median,
]


def normal(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_ties_share_their_mean_rank():
    x = normal(3, 41).mul(2).round()
    ours = series.normal_scores(*series.sort(x))
    wanted = norm.ppf((rankdata(x.numpy(), axis=1) - 0.375) / 41.25)
    np.testing.assert_allclose(ours, wanted, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("draws", [10, 11])
def test_quantiles_and_median_are_numpys(draws):
    x = series.Series(normal(2, 3, draws))
    flat = x.values.flatten(1).numpy()
    for p in (0.05, 0.1, 0.5, 0.95):
        np.testing.assert_allclose(x.quantile(p), np.quantile(flat, p, axis=1), rtol=1e-13)
    np.testing.assert_allclose(x.median, np.median(flat, axis=1), rtol=0)


def test_a_quantile_that_is_a_draw_is_that_draw_exactly():
    x = series.Series(normal(1, 1, 101))
    for percent in range(1, 100):
        assert x.quantile(percent / 100) == x.ordered[0, percent]


def test_an_odd_chain_loses_its_middle_draw():
    halves = series.split(torch.arange(10.0).reshape(1, 2, 5))
    assert halves.tolist() == [[[0, 1], [5, 6], [3, 4], [8, 9]]]


@pytest.mark.parametrize("number", PER_ENTRY)
def test_an_entry_that_says_nothing_is_nan_and_spoils_no_other(number):
    x = normal(50, 3, 5)
    x[:, :, 1], x[3, 0, 2], x[4, 1, 3] = 7.0, math.nan, math.inf
    found = number(x)
    assert found.isnan().tolist() == [False, True, True, True, False]
    torch.testing.assert_close(found[[0, 4]], number(x[:, :, [0, 4]]))


@pytest.mark.parametrize("number", PER_ENTRY)
def test_events_of_any_shape_and_precision_are_read_entry_by_entry(number):
    x = normal(40, 2, 3, 2)
    assert number(x).shape == (3, 2) and number(x[:, :, 0, 0]).shape == ()
    torch.testing.assert_close(number(x)[2, 1], number(x[:, :, 2, 1]))
    assert number(x.float().numpy()).dtype == torch.float64


def test_what_is_not_a_trace_is_refused():
    with pytest.raises(ValueError, match="at least 4 draws"):
        diagnostics.rhat(normal(3, 100))
    with pytest.raises(ValueError, match=r"draws\[:, None\]"):
        diagnostics.ess_bulk(normal(100))


def test_blocks_of_entries_change_nothing(monkeypatch):
    x = normal(20, 4, 7)
    whole = diagnostics.summary(x)
    monkeypatch.setattr(series, "BLOCK", 100)
    for column, values in diagnostics.summary(x).columns.items():
        torch.testing.assert_close(values, whole[column])


def test_many_chains_and_entries_take_seconds():
    x = torch.randn(1000, 64, 100, generator=torch.Generator().manual_seed(0))
    began = time.process_time()
    assert diagnostics.rhat(x).max() < 1.01 and diagnostics.ess_bulk(x).min() > 40_000
    assert time.process_time() - began < 10  # 2 s on one quiet core
