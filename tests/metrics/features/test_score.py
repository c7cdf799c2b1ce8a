"""The score counts classes, by entropy."""

import pytest
import torch

from fairway.metrics.features import inception_score


def test_sure_and_even_is_the_number_of_classes_and_unsure_or_collapsed_is_one():
    assert inception_score(torch.eye(5).repeat(8, 1)).value == pytest.approx(5)
    assert inception_score(torch.full((9, 5), 0.2)).value == pytest.approx(1)
    assert inception_score(torch.eye(5)[:1].repeat(9, 1)).value == pytest.approx(1)


def test_it_sees_dropped_classes_and_is_blind_to_one_row_per_class():
    rows = torch.eye(10)[torch.arange(400) % 10] * 0.9 + 0.01
    half = inception_score(rows[torch.arange(400) % 10 < 5]).value
    assert half < 0.7 * inception_score(rows).value
    assert inception_score(torch.eye(10)[torch.arange(400) % 10]).value > inception_score(rows).value


def test_the_standard_error_is_the_spread_over_fresh_sets():
    found = []
    for seed in range(200):
        generator = torch.Generator().manual_seed(seed)
        sharp = 3 * torch.rand(300, 1, generator=generator)
        found.append(inception_score((sharp * torch.randn(300, 4, generator=generator)).softmax(-1)))
    values = torch.tensor([f.value for f in found])
    assert float(values.std()) == pytest.approx(found[0].standard_error, rel=0.2)


def test_what_is_no_probability_is_refused():
    with pytest.raises(ValueError, match="softmax"):
        inception_score(torch.randn(4, 3))
    with pytest.raises(ValueError, match=r"\(n, classes\)"):
        inception_score(torch.ones(4, 1))
