"""Inpainting against the exact conditional law of a Gaussian."""

import pytest
import torch

from fairway.applications.inpainting import inpaint
from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.models.classical.gaussian import Gaussian
from fairway.models.diffusion.edm import EDM
from fairway.models.diffusion.mixture import MixtureDenoiser

COVARIANCE = torch.tensor([[1.0, 0.7, 0.3], [0.7, 1.0, 0.6], [0.3, 0.6, 0.8]], dtype=torch.float64)
MEAN = torch.tensor([0.2, -0.1, 0.3], dtype=torch.float64)
OBSERVED = torch.tensor([True, False, False])
POINT = torch.tensor([[1.5, float("nan"), float("nan")]], dtype=torch.float64)


def gaussian(schedule="vp"):
    return MixtureDenoiser(torch.ones(1).double(), MEAN[None], COVARIANCE[None], schedule=schedule).double()


def exact():
    """Mean and covariance of entries 1 and 2 given the first."""
    gain = COVARIANCE[1:, :1] / COVARIANCE[0, 0]
    return MEAN[1:] + gain[:, 0] * (POINT[0, 0] - MEAN[0]), COVARIANCE[1:, 1:] - gain @ COVARIANCE[:1, 1:]


def test_plenty_of_resamples_give_the_conditional_law():
    """1,500 draws, 200 steps of 30 resamples: mean and covariance within 4 standard errors and 0.02 of bias."""
    n, (mean, covariance) = 1_500, exact()
    draws = inpaint(gaussian(), POINT, OBSERVED, n, steps=200, resamples=30, generator=0)[0, :, 1:]
    errors = (covariance.diagonal() / n).sqrt()
    assert bool(((draws.mean(0) - mean).abs() < 4 * errors + 0.02).all()), draws.mean(0) - mean
    squares = (covariance.diagonal()[:, None] * covariance.diagonal() + covariance**2) / n
    assert bool(((draws.T.cov() - covariance).abs() < 4 * squares.sqrt() + 0.02).all()), draws.T.cov() - covariance


@pytest.mark.parametrize("schedule", ["vp", "edm", "linear"])
def test_every_resample_brings_the_mean_nearer(schedule):
    """How far off plain replacement is, 0.43, and what is left of it: 0.15 at 5, 0.1 at 10."""
    wanted, found = exact()[0], []
    for resamples in (1, 5, 10):
        draws = inpaint(gaussian(schedule), POINT, OBSERVED, 1_500, steps=50, resamples=resamples, generator=0)
        found.append(float((draws[0, :, 1:].mean(0) - wanted).abs().max()))
    assert found[0] > 0.35 and found[1] < 0.2 and found[2] < 0.15 and found == sorted(found, reverse=True), found


def test_known_entries_come_back_exactly_and_rows_have_their_own_mask():
    model = EDM(Event((3,)), hidden=(8,))
    model.preprocess.mean.copy_(torch.tensor([100.0, -3.0, 0.0]))
    x = torch.tensor([[1 / 3, 5.0, float("nan")], [1e-3, 2.0, 7.0]], dtype=torch.float64)
    observed = torch.tensor([[True, True, False], [False, True, True]])
    draws = inpaint(model, x, observed, 4, steps=5, resamples=2, generator=0)
    assert draws.shape == (2, 4, 3) and bool(torch.isfinite(draws).all())
    assert torch.equal(draws[observed.unsqueeze(1).expand(2, 4, 3)], x.unsqueeze(1).expand(2, 4, 3)[
        observed.unsqueeze(1).expand(2, 4, 3)
    ])  # fmt: skip
    assert len(draws[0, :, 2].unique()) == 4


def test_pictures_of_whole_numbers_and_contexts():
    model = EDM(Event((1, 2, 2), "integer", low=0, high=9), Event((), "category", levels=3), hidden=(8,))
    x, observed = torch.full((2, 1, 2, 2), 4), torch.tensor([[[True, False], [False, True]]])
    draws = inpaint(model, x, observed, 3, context=torch.tensor([0, 2]), steps=4, resamples=1, generator=0)
    assert draws.shape == (2, 3, 1, 2, 2) and draws.dtype == torch.uint8
    assert bool((draws[..., 0, 0] == 4).all() and (draws[..., 1, 1] == 4).all() and (draws <= 9).all())


def test_all_or_none_observed():
    model, x = gaussian(), torch.ones(2, 3, dtype=torch.float64)
    assert torch.equal(inpaint(model, x, torch.ones(3), 2, steps=3)[:, 0], x)
    free = inpaint(model, x, torch.zeros(3), 500, steps=50, resamples=1, generator=0).flatten(0, 1)
    torch.testing.assert_close(free.mean(0), MEAN, atol=0.15, rtol=0)


def test_the_same_seed_gives_the_same_draws_whatever_the_batch():
    model, x = gaussian(), torch.ones(3, 3, dtype=torch.float64)
    options = {"steps": 6, "resamples": 2, "generator": 5}
    draws = inpaint(model, x, OBSERVED, 7, **options)
    torch.testing.assert_close(draws, inpaint(model, x, OBSERVED, 7, batch_size=4, **options))
    torch.testing.assert_close(draws[:, :3], inpaint(model, x, OBSERVED, 3, **options))
    assert not torch.allclose(draws, inpaint(model, x, OBSERVED, 7, **{**options, "generator": 6}))


def test_what_is_wrong_is_told():
    model, x = gaussian(), torch.ones(2, 3)
    with pytest.raises(CapabilityError, match="inpainting"):
        inpaint(Gaussian(Event((3,))), x, OBSERVED)
    with pytest.raises(ValueError, match="observed"):
        inpaint(model, x, torch.ones(2))
    with pytest.raises(ValueError, match="expected a value wherever observed"):
        inpaint(model, POINT, torch.ones(3))
    with pytest.raises(ValueError, match="context"):
        inpaint(EDM(Event((2,)), Event((2,)), hidden=(8,)), torch.zeros(1, 2), torch.ones(2))
    for options in ({"n": 0}, {"steps": 0}, {"resamples": 0}, {"n": True}, {"grid": "cosine"}):
        with pytest.raises(ValueError, match="expected"):
            inpaint(model, x, OBSERVED, **options)
