"""MMD against its definition, uniform p-values, and power where two moments have none."""

import pytest
import torch

from fairway.metrics.two_sample.kernel import kernel_test, squared_mmd
from fairway.metrics.two_sample.pooled import rearrangements


def test_every_split_has_the_unbiased_mmd_of_its_definition():
    rows = torch.randn(9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gram = (-0.5 * torch.cdist(rows, rows).square()).exp()
    chosen = rearrangements(4, 5, 6)
    for a, found in zip(chosen.bool(), squared_mmd(gram, chosen, 4, 5), strict=True):
        x, y = a.nonzero().flatten().tolist(), (~a).nonzero().flatten().tolist()
        within = [sum(gram[i, j] for i in s for j in s if i != j) / (len(s) * (len(s) - 1)) for s in (x, y)]
        across = sum(gram[i, j] for i in x for j in y) / 20
        assert float(found) == pytest.approx(float(within[0] + within[1] - 2 * across), abs=1e-12)


def test_p_values_are_uniform_under_one_law(null_p_values, looks_uniform):
    assert looks_uniform(null_p_values(kernel_test, 300, permutations=99))


def test_equal_moments_do_not_hide_two_laws(same_moments):
    assert kernel_test(*same_moments, permutations=199).p_value <= 0.01


def test_a_kernel_as_wide_as_the_world_compares_means_alone(same_moments):
    assert kernel_test(*same_moments, bandwidth=100.0, permutations=199).p_value > 0.05


def test_the_bandwidth_is_said_and_must_be_above_0():
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    assert kernel_test(x, x + 1, bandwidth=2.5, permutations=9).info["bandwidth"] == 2.5
    with pytest.raises(ValueError, match=r"bandwidth above 0, got 0\.0"):
        kernel_test(torch.ones(5, 2), torch.ones(5, 2))
