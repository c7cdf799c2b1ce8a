"""Image patches: the recipe, the splits, and the number that every flow must beat."""

import pytest
import torch

from fairway.data import load
from fairway.data.bsds300 import patches_to_rows


def test_the_recipe_is_dequantising_centring_and_dropping_one_pixel():
    patches = torch.randint(0, 256, (50, 8, 8), dtype=torch.uint8)
    rows = patches_to_rows(patches, seed=1)
    assert rows.shape == (50, 63) and rows.dtype == torch.float32
    last = -rows.double().sum(1, keepdim=True)  # the dropped pixel follows from the others
    whole = torch.cat([rows.double(), last], 1)
    noise = whole * 256 - patches.flatten(1)
    noise = noise - noise.amin(1, keepdim=True)  # up to the brightness, which is gone
    assert (noise.amax(1) < 1 + 1e-4).all() and noise.amax(1).mean() > 0.9


def test_the_noise_is_the_seeds():
    patches = torch.zeros(2, 8, 8, dtype=torch.uint8)
    assert torch.equal(patches_to_rows(patches, 0), patches_to_rows(patches, 0))
    assert not torch.equal(patches_to_rows(patches, 0), patches_to_rows(patches, 1))


def test_a_gaussian_gets_the_published_scale(data_folder):
    data = load("bsds300_patches", folder=data_folder)
    assert [len(part) for part in (data, data.validation, data.test)] == [190_000, 10_000, 30_000]
    assert "seed 0" in data.protocol and data.test.protocol == data.protocol
    x = data.x.double()
    gaussian = torch.distributions.MultivariateNormal(x.mean(0), x.T.cov())
    nats = gaussian.log_prob(data.test.x.double())
    assert nats.mean().item() == pytest.approx(96.10, abs=0.05)
