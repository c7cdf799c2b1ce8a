"""The table of a trace, and the way to ArviZ."""

import sys

import numpy as np
import pytest
import torch

from fairway.samplers.diagnostics import ess_bulk, mcse_mean, rhat, summary, to_arviz


def normal(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_columns_are_the_numbers_of_the_single_functions():
    x = normal(100, 4, 2, 3)
    table = summary(x)
    torch.testing.assert_close(table["rhat"], rhat(x).flatten())
    torch.testing.assert_close(table["ess_bulk"], ess_bulk(x).flatten())
    torch.testing.assert_close(table["mcse_mean"], mcse_mean(x).flatten())
    flat = x.reshape(400, 6).numpy()
    np.testing.assert_allclose(table["sd"], flat.std(0, ddof=1))
    np.testing.assert_allclose(table["q95"], np.quantile(flat, 0.95, axis=0))
    assert table.names[-1] == "u[1,2]" and table.records()[5]["name"] == "u[1,2]"


def test_it_reads_as_a_table_and_names_the_worst_entry():
    x = normal(200, 4, 2)
    x[:, 3, 1] += 5
    text = str(summary(x, names=["good", "bad"]))
    assert "rhat" in text.splitlines()[0] and "4 chains of 200 draws" in text
    assert text.splitlines()[-1].count("at bad") == 3


def test_a_long_table_is_cut_and_a_constant_entry_is_the_worst():
    x = normal(10, 2, 60)
    x[..., 50] = 1.0
    text = str(summary(x))
    assert "and 20 more" in text and "rhat nan at u[50]" in text


def test_names_must_fit():
    with pytest.raises(ValueError, match="6 entries"):
        summary(normal(10, 2, 2, 3), names=["a"])


def test_arviz_gets_chains_first_and_names():
    arviz = to_arviz(normal(20, 3, 2), names=["a", "b"], statistics={"acceptance_rate": torch.ones(20, 3)})
    assert arviz.posterior["a"].shape == (3, 20)
    assert arviz.sample_stats["acceptance_rate"].shape == (3, 20)
    whole = to_arviz(normal(5, 8, 2, 2))  # more chains than draws, and no warning
    np.testing.assert_array_equal(whole.posterior["u"].values, normal(5, 8, 2, 2).transpose(0, 1))


def test_without_arviz_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "arviz", None)
    with pytest.raises(ImportError, match=r"fairway\[metrics\]"):
        to_arviz(normal(5, 2))
