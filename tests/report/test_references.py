"""The rows that give a comparison its scale."""

import pytest
import torch

from fairway.core.event import Event
from fairway.data.dataset import Dataset
from fairway.report.references import references

JOB = {"seed": 0, "draws": 2, "n": 20, "budget": 30.0, "steps": 7}


@pytest.fixture(scope="module")
def found():
    x = torch.randint(0, 5, (100, 3), generator=torch.Generator().manual_seed(0))
    data = Dataset(x, Event((3,), "integer", low=0, high=4))
    return data, references(data.rows(torch.arange(80)), data.rows(torch.arange(80, 100)), JOB)


def test_four_rows_in_order_with_as_many_samples_as_a_model(found):
    _, rows = found
    assert [row.name for row, _ in rows] == ["fresh real data", "training copy", "gaussian", "independent"]
    assert all(row.kind == "reference" and row.status == "ok" and samples.shape == (20, 3) for row, samples in rows)


def test_the_copy_copies_training_rows_and_the_floor_is_held_out(found):
    data, rows = found
    seen = {tuple(row) for row in data.x[:80].tolist()}
    assert {tuple(row) for row in rows[1][1].tolist()} <= seen
    assert torch.equal(rows[0][1], data.x[80:100])


def test_fitted_references_have_likelihoods(found):
    _, rows = found
    gaussian, independent = rows[2][0].likelihood, rows[3][0].likelihood
    assert (gaussian["relation"], independent["relation"]) == ("lower", "equal")
    # five equally likely levels: log2(5) = 2.32 bits at best
    assert 2.25 < independent["bits_per_dim"] < 2.6 and independent["bits_per_dim"] < gaussian["bits_per_dim"] + 0.2


def test_a_reference_that_cannot_be_fitted_is_a_failed_row():
    x = torch.randn(20, 2)
    x[:, 1] = 3.0  # a constant column has no density
    data = Dataset(x, Event((2,)))
    rows = references(data, data, JOB)
    assert [row.status for row, _ in rows] == ["ok", "ok", "failed", "ok"]
    assert "constant column 1" in rows[2][0].reason and rows[2][1] is None


def test_continuous_entries_are_drawn_each_from_a_row_of_its_own():
    x = torch.randn(400, 1, generator=torch.Generator().manual_seed(0)) * torch.tensor([40.0, 3e-3])
    data = Dataset(x + torch.tensor([1000.0, -7e-3]), Event((2,)))
    row, samples = references(data, data, {**JOB, "n": 400})[3]
    assert row.likelihood is None and samples.shape == (400, 2)
    assert {v.item() for v in samples[:, 1]} <= {v.item() for v in data.x[:, 1]}
    assert abs(float(torch.corrcoef(samples.T)[0, 1])) < 0.2 < 0.99 < float(torch.corrcoef(data.x.T)[0, 1])
