"""Waves beside the input: the formula, frequencies that stay fixed, and edges that a plain perceptron learns late."""

import json

import pytest
import torch
import torch.nn.functional as F

from fairway.core.config import from_json, to_json
from fairway.core.random import Rows, seeded
from fairway.networks.fourier import FourierMLP
from fairway.networks.mlp import MLP


def test_the_formula():
    network, u = FourierMLP(2, 3, hidden=(5,), features=8).double(), Rows(0, 6, dtype=torch.float64).normal(2)
    angle = u @ network.frequencies
    wanted = network.body(torch.cat([u, torch.cos(angle), torch.sin(angle)], 1))
    torch.testing.assert_close(network(u), wanted, rtol=0, atol=0)
    assert network.frequencies.shape == (2, 4) and network.body.layers[0].linear.in_features == 2 + 8


def test_frequencies_have_the_scale_asked_for_in_waves_per_unit():
    with seeded(0):
        network = FourierMLP(1, 1, hidden=(4,), features=20_000, scale=0.3)
    assert float(network.frequencies.std()) / (2 * torch.pi) == pytest.approx(0.3, rel=0.03)
    assert float(network.frequencies.mean()) / (2 * torch.pi) == pytest.approx(0.0, abs=0.01)


def test_frequencies_are_saved_and_do_not_learn():
    network = FourierMLP(2, 1, hidden=(4,), features=6)
    assert "frequencies" not in dict(network.named_parameters())
    other = FourierMLP(2, 1, hidden=(4,), features=6)
    u = Rows(0, 5).normal(2)
    assert not torch.equal(other(u), network(u))
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(u), network(u))


def test_an_edge_is_learned_before_a_plain_perceptron_learns_it():
    """|u| < 1/2, a square hump: after as many steps the error is under half of the plain perceptron's."""
    u = torch.linspace(-2, 2, 200).unsqueeze(1)
    wanted, errors = (u.abs() < 0.5).float(), {}
    for kind in (MLP, FourierMLP):
        with seeded(0):
            network = kind(1, 1, (32, 32))
        moves = torch.optim.Adam(network.parameters(), 1e-2)
        for _ in range(150):
            moves.zero_grad()
            loss = F.mse_loss(network(u), wanted)
            loss.backward()
            moves.step()
        errors[kind] = float(loss.detach())
    assert errors[FourierMLP] < 0.5 * errors[MLP]


def test_configuration():
    network = from_json(json.loads(json.dumps(to_json(FourierMLP(2, 3, hidden=[5], features=4, scale=0.5)))))
    assert network.arguments["hidden"] == (5,) and network(torch.zeros(2, 2)).shape == (2, 3)


@pytest.mark.parametrize("options", [{"features": 7}, {"features": 0}, {"scale": 0.0}, {"scale": -1.0}])
def test_wrong_options_are_refused(options):
    with pytest.raises(ValueError, match="an even number of features and a positive scale, got"):
        FourierMLP(2, 1, **options)
