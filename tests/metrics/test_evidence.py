"""The bound on log Z against Gaussians, whose divergences are known."""

import math

import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.random import seeded
from fairway.metrics.evidence import evidence_bound
from fairway.models.flow.real_nvp import RealNVP
from fairway.models.latent.vae import VAE


def standard(units=None):
    with seeded(0):
        model = RealNVP(Event((2,)), transforms=2, hidden=(8,)).double().eval()
    if units is not None:
        model.preprocess.fit(units)
    return model


def test_it_is_exact_where_the_model_is_the_density():
    found = evidence_bound(standard(), lambda x: 3 - 0.5 * x.square().sum(1), n=500)
    assert found.value == pytest.approx(3 + math.log(2 * math.pi), abs=1e-9) and found.standard_error < 1e-9
    assert found.info["ess"] == pytest.approx(500) and found.relation == "lower" and found.unit == "nats"


def test_the_gap_is_the_divergence_and_importance_closes_it():
    found = evidence_bound(standard(), lambda x: -0.5 * (x - 0.5).square().sum(1), n=20_000)
    log_z, divergence = math.log(2 * math.pi), 0.25
    assert found.value == pytest.approx(log_z - divergence, abs=4 * found.standard_error)
    assert found.info["importance"] == pytest.approx(log_z, abs=4 * found.info["importance_error"])
    assert 0.01 > found.standard_error > 0.001


def test_it_is_measured_in_data_units():
    x = torch.randn(1000, 2).double() * torch.tensor([40, 3e-3]) + torch.tensor([1000, 0])
    model = standard(x)
    mean, std = x.mean(0), x.std(0, correction=0)
    found = evidence_bound(model, lambda x: -0.5 * ((x - mean) / std).square().sum(1), n=100)
    assert found.value == pytest.approx(math.log(2 * math.pi) + float(std.log().sum()), abs=1e-6)


def test_what_it_refuses():
    with pytest.raises(CapabilityError, match="sample_and_log_prob"):
        evidence_bound(VAE(Event((2,)), latent=2, hidden=(8,)).eval(), lambda x: x.sum(1))
    with pytest.raises(ValueError, match="at least 2 draws"):
        evidence_bound(standard(), lambda x: x.sum(1), n=1)
