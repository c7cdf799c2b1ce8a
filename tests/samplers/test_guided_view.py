"""The view that guidance hands to a sampler: rows keep their own level, and nothing but noise levels is answered."""

import pytest
import torch

from fairway.core.capability import HasDenoiser, HasLogProb, HasVelocity
from fairway.core.random import Rows
from fairway.samplers.guidance import Guided


def test_a_view_denoises_and_has_no_density(three_classes):
    view = Guided().view(three_classes())
    assert view.supports(HasDenoiser) and view.supports(HasVelocity) and not view.supports(HasLogProb)
    assert view.name() == three_classes().name()


def test_every_row_is_inside_or_outside_by_its_own_level(three_classes, label_rows):
    model, u = three_classes("edm"), Rows(0, 8, dtype=torch.float64).normal(2)
    ratios = torch.tensor([0.05, 0.1, 0.11, 0.5, 1.0, 1.01, 3.0, 60.0]).double()
    t, label = model.schedule.at_log_snr(-2 * ratios.log()), label_rows(0, 8)
    found = Guided(3.0, interval=(0.105, 1.005)).view(model)._denoise(u, t, label)
    own, guided = model._denoise(u, t, label), Guided(3.0).view(model)._denoise(u, t, label)
    inside = torch.tensor([0, 0, 1, 1, 1, 0, 0, 0]).bool()
    assert torch.equal(found[inside], guided[inside]) and torch.equal(found[~inside], own[~inside])


def test_the_noisiest_level_of_all_is_inside_an_endless_interval(three_classes, label_rows):
    model, u = three_classes("linear"), Rows(0, 2, dtype=torch.float64).normal(2)
    one = torch.ones(2, dtype=torch.float64)
    found = Guided(3.0, interval=(0.5, float("inf"))).view(model)._denoise(u, one, label_rows(0, 2))
    torch.testing.assert_close(found, Guided(3.0).view(model)._denoise(u, one, label_rows(0, 2)))


@pytest.mark.parametrize("wrong", [(1.0,), (-1.0, 2.0), (2.0, 2.0), (float("nan"), 1.0)])
def test_an_interval_rises_from_at_least_zero(wrong):
    with pytest.raises(ValueError, match="interval"):
        Guided(interval=wrong)
