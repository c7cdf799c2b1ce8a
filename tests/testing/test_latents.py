"""Determinants by autograd, and which models are held to the change of variables."""

import torch

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.models.classical.gaussian import Gaussian
from fairway.models.flow.real_nvp import RealNVP
from fairway.models.latent.vae import VAE
from fairway.testing.latents import is_flow, log_abs_det
from fairway.testing.subject import build


def test_log_abs_det_of_a_known_map():
    matrix = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    u = torch.randn(3, 2, 2, dtype=torch.float64)

    def cubed(v):
        return ((v.flatten(1) @ matrix.T) ** 3).reshape(v.shape)

    expected = torch.linalg.slogdet(matrix).logabsdet + (3 * (u.flatten(1) @ matrix.T) ** 2).log().sum(1)
    assert torch.allclose(log_abs_det(cubed, u), expected)


def test_flows_are_those_with_as_many_latents_as_entries():
    table = Case(Event((2,)))
    assert is_flow(
        build(RealNVP, Case(Event((2, 3), "integer", low=0, high=7), None, {"transforms": 1, "hidden": (4,)}))
    )
    assert not is_flow(build(Gaussian, table)) and not is_flow(build(VAE, table))
