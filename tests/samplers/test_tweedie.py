"""Tweedie's step on a law whose clean mean is known, on top of any sampler."""

import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.models.autoregressive.made import MADE
from fairway.models.classical.gaussian import Gaussian
from fairway.samplers.temperature import Temperature
from fairway.samplers.tweedie import Tweedie
from fairway.training.fit import fit


@pytest.fixture(scope="module")
def standard():
    """N(0, I) in model units, to four digits."""
    return fit(Gaussian(Event((2,))), torch.randn(20_000, 2, generator=torch.Generator().manual_seed(0)))


def test_of_a_normal_law_it_is_a_known_shrinkage(standard):
    """y ~ N(0, 1) with noise s: E[u | y] = (1 - s^2) y."""
    own = standard.draw(50, generator=3)
    clean = standard.draw(50, sampler=Tweedie(0.6), generator=3)
    centre = own.samples.new_tensor(standard.preprocess.to_data(torch.zeros(1, 2, dtype=torch.float64))[0].tolist())
    torch.testing.assert_close(clean.samples - centre, 0.64 * (own.samples - centre), atol=0.05, rtol=0.01)
    assert clean.evaluations == own.evaluations + 2


def test_it_works_on_top_of_another_sampler():
    from fairway.models.flow.real_nvp import RealNVP

    flow = RealNVP(Event((3,)), transforms=2, hidden=(8,)).double().eval()  # as built, N(0, I)
    warm = flow.sample(9, sampler=Tweedie(0.5, Temperature(0.5)), generator=1)
    torch.testing.assert_close(warm, 0.75 * 0.5 * flow.sample(9, generator=1))


def test_what_has_no_score_is_refused():
    with pytest.raises(CapabilityError, match="score"):
        MADE(Event((3,), "binary"), hidden=(4,)).sample(2, sampler=Tweedie())


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("inf"), True])
def test_the_noise_is_a_positive_number(wrong):
    with pytest.raises(ValueError, match="noise"):
        Tweedie(wrong)
