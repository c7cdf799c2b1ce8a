"""One Gaussian is the closed form."""

import pytest
import torch

from fairway.core.event import Event
from fairway.models.classical.gaussian import Gaussian
from fairway.training.fit import fit


@pytest.fixture
def x():
    noise = torch.randn(500, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mix = torch.tensor([[2.0, 0, 0], [1.0, 1.0, 0], [0.0, -0.5, 0.3]]).double()
    return noise @ mix + torch.tensor([1e3, 0.0, -5.0])


def test_it_is_the_mean_and_the_covariance_of_the_data(x):
    model = fit("gaussian", x, floor=0.0)
    peer = torch.distributions.MultivariateNormal(x.mean(0), x.T.cov(correction=0))
    torch.testing.assert_close(model.log_prob(x), peer.log_prob(x), rtol=1e-8, atol=1e-8)
    assert model.history.steps == 2 and model.history.stopped == "converged"


def test_no_gaussian_of_the_form_is_better(x):
    """Maximum likelihood: any change of the fitted parameters lowers the mean."""
    for covariance in ("full", "diagonal", "spherical"):
        model = fit("gaussian", x, covariance=covariance, floor=0.0)
        best = float(model.log_prob(x).mean())
        for parameter in model.parameters():
            change = 1e-2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)).to(parameter)
            parameter.data.add_(change)
            assert float(model.log_prob(x).mean()) < best + 1e-12
            parameter.data.sub_(change)


def test_fewer_freedoms_fit_worse_and_a_sphere_is_one_in_model_units(x):
    forms = ("full", "diagonal", "spherical")
    raw = [float(fit("gaussian", x, covariance=c, preprocess=False).log_prob(x).mean()) for c in forms]
    assert raw[0] > raw[1] > raw[2]
    scaled = [float(fit("gaussian", x, covariance=c).log_prob(x).mean()) for c in forms]
    assert scaled == pytest.approx([raw[0], raw[1], raw[1]], abs=1e-4)  # each column has scale one there


def test_it_has_one_component_and_its_own_source():
    model = Gaussian(Event((2,)))
    assert model.components == 1 and model.cites == ("bishop2006prml",) and model.name() == "gaussian"
