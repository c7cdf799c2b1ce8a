"""A classifier that is a density: the classes, the marginal, the class-given law, and what ties them together."""

import math

import pytest
import torch
from torch import nn

from fairway.core.event import Event
from fairway.core.random import Rows, seeded
from fairway.models.energy.joint import Joint
from fairway.training.fit import fit

CENTRES = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
WIDTH = 0.7
CLASSES = Event((), "category", levels=3)


def blobs(n, seed):
    """Three Gaussians, a class each, shares 1/2, 1/4, 1/4; in units of 1000 and 1e-3."""
    rows = Rows(seed, n, dtype=torch.float64)
    label = (rows.integers(4) - 1).clamp(min=0)
    return in_units(CENTRES[label] + WIDTH * rows.normal(2)), label


def in_units(u):
    return u * torch.tensor([1000.0, 1e-3], dtype=torch.float64)


@pytest.fixture(scope="module")
def model():
    x, label = blobs(2000, 0)
    return fit("joint", x, context=label, hidden=(64, 64), steps=250, lr=3e-3, seed=0, validation=0, progress=False)


def test_it_classifies(model):
    x, label = blobs(2000, 1)
    chance = model.classify(x)
    torch.testing.assert_close(chance.sum(1), torch.ones(2000))
    assert float((chance.argmax(1) == label).double().mean()) > 0.95


def test_its_marginal_is_the_data_s_density(model):
    axis = torch.linspace(-3, 7, 101, dtype=torch.float64)
    u = torch.cartesian_prod(axis, axis)
    squares = (u.unsqueeze(1) - CENTRES).square().sum(2) / WIDTH**2
    p = torch.softmax((-0.5 * squares + torch.tensor([0.5, 0.25, 0.25]).log()).logsumexp(1), 0)
    log_q = torch.log_softmax(-model.marginal_energy(in_units(u)).double(), 0)
    assert float((p * (p.log() - log_q)).sum()) < 0.2


def test_what_is_unlike_the_data_has_a_high_energy(model):
    x, _ = blobs(2000, 1)
    far = in_units(torch.tensor([[2.0, 2.0], [-6.0, 0.0], [9.0, 9.0]], dtype=torch.float64))
    usual = model.marginal_energy(x).quantile(0.95)
    assert bool((model.marginal_energy(far) > usual).all())


def test_energies_of_classes_add_up_to_the_marginal_and_compare_as_the_classifier_does(model):
    x, _ = blobs(20, 2)
    energies = torch.stack([model.energy(x, torch.full((20,), k)) for k in range(3)], 1).double()
    torch.testing.assert_close((-energies).logsumexp(1), -model.marginal_energy(x).double(), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close((-energies).softmax(1), model.classify(x).double(), rtol=1e-4, atol=1e-5)


def test_draws_given_a_class_are_of_that_class(model):
    draws = model.sample(150, context=torch.arange(3), generator=0)
    for k in range(3):
        assert float((model.classify(draws[k]).argmax(1) == k).double().mean()) > 0.95
        miss = draws[k].double().mean(0) / in_units(torch.ones(2).double()) - CENTRES[k]
        assert float(miss.abs().max()) < 0.5


def test_chains_are_taken_as_often_as_the_classifier_says():
    class Sides(nn.Module):
        """p(1 | u) = sigmoid(2 u)."""

        def forward(self, u):
            return torch.cat([-u, u], 1)

    model = Joint(Event((1,)), Event((), "category", levels=2), network=Sides())
    model._keep(torch.tensor([[-0.5], [1.0]]), torch.zeros(2, 2), torch.tensor(0.1))
    starts = model._chains(torch.tensor([[0.0, 1.0]]).expand(4000, 2), Rows(0, 4000))
    left, right = (1 / (1 + math.exp(-2 * u)) for u in (-0.5, 1.0))
    assert float((starts > 0).double().mean()) == pytest.approx(right / (left + right), abs=0.03)


def test_wrong_classes_and_networks_are_refused():
    with pytest.raises(ValueError, match="one label a row"):
        Joint(Event((2,)))
    with pytest.raises(ValueError, match="one label a row"):
        Joint(Event((2,)), Event((2,), "category", levels=3))
    with seeded(0), pytest.raises(ValueError, match="one logit a class"):
        Joint(Event((2,)), CLASSES, network=nn.Linear(2, 1)).classify(torch.zeros(1, 2))
