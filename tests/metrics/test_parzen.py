"""Kernel estimates against a mixture's, and the reason why they rank nothing."""

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from fairway.core.event import Event
from fairway.data.dataset import load
from fairway.metrics.evaluate import evaluate
from fairway.metrics.parzen import best_bandwidth, parzen, window_log_density
from fairway.models.classical.mixture import GMM


def normal(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_density_is_the_mixture_of_its_windows():
    samples, x = normal(0, 300, 3), normal(1, 280, 3)  # more rows than a block
    for h, found in zip((0.2, 1.0), window_log_density(samples, x, [0.2, 1.0]), strict=True):
        windows = Independent(Normal(samples, h), 1)
        mixture = MixtureSameFamily(Categorical(torch.ones(300).double()), windows)
        torch.testing.assert_close(found, mixture.log_prob(x))


def test_the_bandwidth_is_the_best_on_validation_rows_and_travels():
    samples, validation = normal(0, 400, 1), normal(1, 400, 1)
    grid = [0.03, 0.3, 3.0]
    h = best_bandwidth(samples, validation, grid)
    assert h == 0.3 and "bandwidth 0.3:" in parzen(samples, normal(2, 50, 1), validation, bandwidths=grid).protocol
    assert 0.1 < best_bandwidth(samples, validation) < 0.8  # Silverman's rule says 0.3


def test_in_one_dimension_it_nears_the_density_and_in_fifty_it_does_not():
    gaps = {}
    for dims in (1, 50):
        x = normal(2, 500, dims)
        exact = -0.5 * x.square().sum(1) - 0.9189385 * dims
        gaps[dims] = float((exact - parzen(normal(0, 2000, dims), x, normal(1, 500, dims)).value).mean())
    assert abs(gaps[1]) < 0.03 and gaps[50] > 5


def test_it_never_ranks():
    found = parzen(normal(0, 50, 2), normal(1, 20, 2), normal(2, 20, 2))
    assert found.relation == "none" and found.protocol.startswith("Parzen windows, 50 samples")
    assert not found.comparable(found) and found.mc_error.isnan().all()


def test_what_has_no_windows_is_refused():
    with pytest.raises(ValueError, match="bandwidths above 0"):
        parzen(torch.ones(5, 2), torch.ones(5, 2), torch.ones(5, 2))
    with pytest.raises(ValueError, match="bandwidths above 0"):
        parzen(normal(0, 5, 2), normal(1, 5, 2), normal(2, 5, 2), bandwidths=[])
    with pytest.raises(ValueError, match="as many entries"):
        parzen(normal(0, 5, 2), normal(1, 5, 3), normal(2, 5, 2))


@pytest.fixture(scope="module")
def digits():
    """900 training, 450 validation and 447 test rows of 8x8 digits, dequantised, pixels in [0, 1]."""
    grey = load("digits").x.double().flatten(1)
    generator = torch.Generator().manual_seed(0)
    grey = grey[torch.randperm(len(grey), generator=generator)]
    x = (grey + torch.rand(grey.shape, generator=generator, dtype=torch.float64)) / 17
    return x[:900], x[900:1350], x[1350:]


def test_it_ranks_900_memorised_images_above_a_model_that_is_far_better(digits):
    train, validation, test = digits
    model = GMM(Event((64,)), components=20).double().fit(train, seed=0)
    memorised = parzen(train, test, validation)
    samples = model.sample(5000, generator=0)
    few, many = parzen(samples[:900], test, validation), parzen(samples, test, validation)
    exact = evaluate(model, test)
    assert memorised.nats > many.nats + 5 > few.nats + 5  # so far the window's verdict: keep the training images
    assert exact.nats > memorised.nats + 20  # the truth about the same model on the same rows
    assert not memorised.comparable(exact)
