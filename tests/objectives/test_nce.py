"""A classifier of data against a known noise finds the density, its normaliser included, whatever the noise."""

import math

import pytest
import torch
from torch import nn

import fairway.models.energy.energy as energy
from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.metrics.log_normaliser import grid_log_normaliser
from fairway.models.classical.mixture import GMM
from fairway.models.energy.energy import EBM
from fairway.models.energy.frame import FRAME
from fairway.models.energy.rbm import RBM
from fairway.models.flow.real_nvp import RealNVP
from fairway.models.gan.gan import GAN
from fairway.objectives.nce import NCE
from fairway.training.callbacks import Callback
from fairway.training.fit import fit

# -- the loss on a finite set of points: an exact expectation ----------------------------------------------------------
POINTS = torch.linspace(-2, 2, 9, dtype=torch.float64).unsqueeze(1)
P = torch.softmax(torch.sin(3 * POINTS[:, 0]) + POINTS[:, 0], 0)  # the data's law; that of the noise is uniform


class Table(nn.Module):
    """f at every point, free."""

    def __init__(self, f):
        super().__init__()
        self.f = nn.Parameter(f.clone())

    def forward(self, u):
        return self.f[(u[:, 0] * 2 + 4).round().long()].unsqueeze(1)


class OnPoints(EBM):
    """Its noise is every point once, so that means over draws are expectations."""

    def _births(self, rows):
        return POINTS


def exact(f, nu):
    """The model, and the loss under P, without any chance."""
    model = OnPoints(Event((1,)), network=Table(f)).double()
    batch = Batch(POINTS, weight=P)
    return model, NCE(nu).loss(batch, model, phase=Phase(), generator=Rows(0, len(POINTS)))


LOG_RATIO = P.log() - math.log(1 / len(P))


@pytest.mark.parametrize("nu", [1, 4])
def test_its_only_minimum_is_the_log_ratio_and_so_the_normaliser_is_found(nu):
    """The gradient there is 0, and the loss is convex in the table; a level off by a constant is no minimum."""
    model, found = exact(LOG_RATIO, nu)
    (gradient,) = torch.autograd.grad(found.total, model.network.f)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-13)
    loss = float(found.total.detach())
    for seed in range(5):
        step = Rows(seed, len(P), dtype=torch.float64).normal()
        assert all(float(exact(LOG_RATIO + s * step, nu)[1].total.detach()) > loss for s in (-1, -0.01, 0.01, 1))
    model, found = exact(LOG_RATIO + 0.1, nu)
    assert float(torch.autograd.grad(found.total, model.network.f)[0].sum()) > 1e-3


def test_at_the_minimum_it_is_the_jensen_shannon_divergence_of_data_and_noise():
    """C = 2 log 2 - 2 JS(p, q) at nu = 1."""
    q = torch.full_like(P, 1 / len(P))
    middle = (P + q) / 2
    js = 0.5 * (P * (P / middle).log()).sum() + 0.5 * (q * (q / middle).log()).sum()
    assert float(exact(LOG_RATIO, 1)[1].total.detach()) == pytest.approx(2 * math.log(2) - 2 * float(js), abs=1e-12)


@pytest.mark.parametrize("nu", [1, 3])
def test_the_logit_is_f_less_log_nu(nu):
    with seeded(0):
        model = EBM(Event((2,)), hidden=(8,)).double()
    u, rows = Rows(0, 30, dtype=torch.float64).normal(2), Rows(1, 30, dtype=torch.float64)
    found = NCE(nu).loss(Batch(u), model, phase=Phase(), generator=rows)
    with torch.no_grad():
        real = model._tilt(u) - math.log(nu)
        fake = torch.cat([model._tilt(model._births(rows.spawn(k))) for k in range(nu)]) - math.log(nu)
    data, noise = -torch.sigmoid(real).log().mean(), -nu * torch.log1p(-torch.sigmoid(fake)).mean()
    assert float(found.terms["data"].detach()) == pytest.approx(float(data), rel=1e-12)
    assert float(found.terms["noise"].detach()) == pytest.approx(float(noise), rel=1e-12)
    assert float(found.total.detach()) == pytest.approx(float(data + noise), rel=1e-12)


def test_every_draw_of_noise_is_shown_under_the_context_of_its_row():
    """f(u, c) = c: data and noise are told alike, so the logits of a row and of its draws are its context."""

    class Given(nn.Module):
        def forward(self, both):
            return both[:, 1:]

    model = EBM(Event((1,)), Event((1,)), network=Given())
    context = torch.linspace(-1, 1, 5).unsqueeze(1)
    logits = NCE(2)._logits(Batch(torch.zeros(5, 1), context), model, torch.zeros(15, 1))
    torch.testing.assert_close(logits + math.log(2), context.flatten().repeat(3))


# -- learning, from three references -----------------------------------------------------------------------------------
MEANS, WEIGHTS, WIDTH = torch.tensor([[-1.0, 0.4], [1.0, -0.4], [0.0, 1.2]]), torch.tensor([0.5, 0.3, 0.2]), 0.3
GRID = torch.cartesian_prod(*[torch.linspace(-5, 5, 201)] * 2)
TRUTH = torch.softmax((WEIGHTS.log() - torch.cdist(GRID, MEANS).square() / (2 * WIDTH**2)).logsumexp(1).double(), 0)


def three_humps(n, seed=0):
    rows = Rows(seed, n)
    return MEANS[torch.bucketize(rows.uniform(), WEIGHTS.cumsum(0)[:-1])] + WIDTH * rows.normal(2)


def kl(log_p):
    """KL(data || p), nats, by a grid."""
    with torch.no_grad():
        log_p = log_p(GRID).double().log_softmax(0)
    return float(torch.where(TRUTH > 0, TRUTH * (TRUTH.log() - log_p), 0.0).sum())


REFERENCES = {
    "normal": lambda: None,
    "gmm": lambda: GMM(Event((2,)), components=2),
    "real_nvp": lambda: RealNVP(Event((2,)), transforms=2, hidden=(16,)),
}


@pytest.mark.parametrize("name", list(REFERENCES))
def test_every_reference_is_improved_to_the_density_with_its_normaliser(name, monkeypatch):
    monkeypatch.setattr(energy, "REFERENCE_STEPS", 100)
    with seeded(0):
        model = EBM(Event((2,)), hidden=(32, 32), reference=REFERENCES[name]())
    fit(model, three_humps(3000), objective="nce", steps=200, lr=3e-3, batch_size=256, preprocess=False, seed=0)
    start, end = kl(model._log_reference), kl(model._log_unnorm)
    assert start > 0.1 and end < 0.1 and end < 0.5 * start
    assert abs(grid_log_normaliser(model).value) < 0.05


# -- who moves ------------------------------------------------------------------------------------------------------
class Ends(Callback):
    """The reference at the end of each stage."""

    def __init__(self):
        self.references = []

    def on_end(self, run):
        self.references.append({name: value.clone() for name, value in run.model.reference.state_dict().items()})


@pytest.mark.parametrize("rival", [False, True])
def test_the_reference_stays_as_it_was_learned_unless_it_is_a_rival(rival):
    with seeded(0):
        model = EBM(Event((2,)), hidden=(8,), reference=GMM(Event((2,)), components=2))
    ends = Ends()
    fit(model, three_humps(300), objective="nce", rival=rival, steps=30, preprocess=False, callbacks=[ends])
    learned, after = ends.references
    assert all(torch.equal(value, after[name]) for name, value in learned.items()) != rival


def test_a_rival_is_told_its_likelihood_and_nothing_of_f():
    with seeded(0):
        model = EBM(Event((2,)), hidden=(8,), reference=GMM(Event((2,)), components=2))
    objective, u = NCE(rival=True), three_humps(100)
    assert [phase.player for phase in objective.phases(model)] == ["model", "reference"]
    found = objective.loss(Batch(u), model, phase=Phase("reference"), generator=Rows(0, 100))
    assert float(found.total.detach()) == pytest.approx(-float(model.reference.log_prob(u).mean().detach()) / 2)
    found.total.backward()
    assert all(parameter.grad is None for parameter in model.network.parameters())
    model.zero_grad()
    objective.loss(Batch(u), model, phase=Phase(), generator=Rows(0, 100)).total.backward()
    assert all(parameter.grad is None for parameter in model.reference.parameters())


# -- what is refused ------------------------------------------------------------------------------------------------
def test_a_fixed_reference_is_no_rival():
    with pytest.raises(CapabilityError, match="a reference that learns: ebm with reference='nsf' or 'gmm'"):
        NCE(rival=True).check(EBM(Event((2,)), hidden=(8,)))
    NCE(rival=True).check(EBM(Event((2,)), hidden=(8,), reference="gmm"))


@pytest.mark.parametrize(
    "model", [lambda: GMM(Event((2,))), lambda: RBM(Event((4,), "binary")), lambda: FRAME(Event((2,)))]
)
def test_a_model_that_is_no_tilt_by_a_network_is_refused(model):
    with pytest.raises(CapabilityError, match=r"nce needs exp\(f\) q / Z .*got (gmm|rbm|frame)"):
        NCE().check(model())


def test_other_refusals():
    with pytest.raises(CapabilityError, match="needs a model that answers 'energy'; gan"):
        NCE().check(GAN(Event((2,)), hidden=(8,)))
    with pytest.raises(ValueError, match="at least 1 draw per row, got 0"):
        NCE(noise=0)
