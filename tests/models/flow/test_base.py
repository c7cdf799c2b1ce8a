"""Bases of flows: named laws by scipy, any density model, and what is refused."""

import pytest
import scipy.stats
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.models.classical.mixture import GMM
from fairway.models.flow.base import base_for
from fairway.models.flow.real_nvp import RealNVP
from fairway.models.gan.wgan_gp import WGANGP


@pytest.mark.parametrize(("name", "law"), [("normal", scipy.stats.norm), ("logistic", scipy.stats.logistic)])
def test_named_laws_are_scipys(name, law):
    base, z = base_for(name, 3), torch.linspace(-9, 9, 30, dtype=torch.float64).reshape(10, 3)
    torch.testing.assert_close(base.log_prob(z), torch.tensor(law.logpdf(z.numpy()).sum(1)))
    draws = base.sample(1, Rows(0, 4000), temperature=0.5).flatten()
    assert scipy.stats.kstest(draws.numpy() / 0.5, law.cdf).pvalue > 1e-4


def gmm():
    model = GMM(Event((2,)), components=2).double()
    model.preprocess.fit(torch.tensor([[0.0, 5.0], [4.0, 9.0]]))
    return model


def test_a_density_model_is_a_base_in_its_own_units():
    model = gmm()
    base, z = base_for(model, 2), torch.tensor([[1.0, 6.0], [3.0, 8.0]], dtype=torch.float64)
    torch.testing.assert_close(base.log_prob(z), model.log_prob(z))
    draws = base.sample(2, Rows(5, 6, dtype=torch.float64))
    torch.testing.assert_close(draws, model.sample(6, generator=5))


def test_a_learned_base_learns_and_a_frozen_one_stays():
    flow = RealNVP(Event((2,)), transforms=1, hidden=(4,), base=gmm()).double()
    flow._log_prob(torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).double()).sum().backward()
    assert flow.base.model.means.grad.abs().max() > 0
    with pytest.raises(CapabilityError, match="freeze"):
        flow.sample_and_log_prob(3)
    flow.base.requires_grad_(False)
    flow.sample_and_log_prob(3)


def test_wrong_bases_are_refused():
    with pytest.raises(ValueError, match="normal, logistic"):
        base_for("cauchy", 2)
    with pytest.raises(ValueError, match="expected a base on"):
        base_for(GMM(Event((3,))), 2)
    with pytest.raises(CapabilityError, match="log_prob"):
        base_for(WGANGP(Event((2,))), 2)
    with pytest.raises(ValueError, match="temperature needs"):
        base_for(gmm(), 2).sample(2, Rows(0, 3), temperature=0.5)
