"""The loss that all chains share: its formula, noise on the data, jumps, and runs that no chain comes back from."""

import pytest
import torch
from torch import nn

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.classical.mixture import GMM
from fairway.models.energy.energy import EBM
from fairway.models.energy.rbm import RBM
from fairway.models.gan.gan import GAN
from fairway.objectives.contrastive_divergence import ContrastiveDivergence
from fairway.objectives.energy_contrast import EnergyContrast, contexts_of
from fairway.objectives.mle_mcmc import MLEByMCMC
from fairway.objectives.persistent import PersistentContrastiveDivergence
from fairway.samplers.gibbs import Gibbs
from fairway.samplers.langevin import Langevin
from fairway.training.fit import fit
from fairway.training.guard import Diverged

THREE = [PersistentContrastiveDivergence, ContrastiveDivergence, MLEByMCMC]


class Plane(nn.Module):
    """f(u) = level + slope . u."""

    def __init__(self, dims, level=0.0):
        super().__init__()
        self.slope = nn.Parameter(torch.ones(dims))
        self.level = nn.Parameter(torch.tensor(level))

    def forward(self, u):
        return (u @ self.slope + self.level).unsqueeze(1)


class From(EnergyContrast):
    """Chains that start at points given, and what they were told of the data."""

    def __init__(self, points, steps=1, penalty=0.0, kernel=None, noise=0.0, jumps=0):
        super().__init__(steps, penalty, kernel or Langevin(1e-20), noise, jumps)
        self.points = points

    def _chains(self, batch, model, rows):
        self.seen = batch
        return self._moved(batch, model, self.points, contexts_of(batch), rows), contexts_of(batch)


def loss(objective, model, u, seed=0, weight=None):
    objective.setup(model)
    return objective.loss(Batch(u, None, weight), model, phase=Phase(), generator=Rows(seed, len(u), dtype=u.dtype))


# -- the formula -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("weight", [None, torch.tensor([1.0, 3.0, 0.5, 0.0, 2.0]).double()])
def test_the_loss_is_that_of_the_module_s_docstring(weight):
    """log p = f + log q counts in the gap, f alone in the penalty; weights are those of the data."""
    model, u = EBM(Event((2,)), network=Plane(2, 0.7)).double(), Rows(0, 5, dtype=torch.float64).normal(2) + 1
    chains = Rows(1, 5, dtype=torch.float64).normal(2)
    w = torch.ones(5).double() if weight is None else weight
    w = w / w.sum()
    f, f_chains = u.sum(1) + 0.7, chains.sum(1) + 0.7
    gap = (w @ (f - u.square().sum(1) / 2) - (f_chains - chains.square().sum(1) / 2).mean()) / 2
    size = 0.5 * (w @ f.square() + f_chains.square().mean())
    found = loss(From(chains, penalty=0.3), model, u, weight=weight)
    assert float(found.total.detach()) == pytest.approx(float(0.3 * size / 2 - torch.atan(gap)), abs=1e-5)
    assert float(found.terms["energy_gap"].detach()) == pytest.approx(float(gap), abs=1e-5)
    assert float(found.terms["energy_size"].detach()) == pytest.approx(float(size.sqrt() / 2), abs=1e-5)


def test_near_a_gap_of_zero_its_gradient_is_the_likelihoods_and_far_off_it_is_bounded():
    """d C / d slope = -(mean of data - mean of chains) / (1 + gap^2) per entry."""
    model, chains = EBM(Event((1,)), network=Plane(1)).double(), torch.zeros(4, 1).double()
    for shift in (1e-3, 2.0, 50.0):
        u = chains + shift
        gap = float(shift - 0.5 * shift**2)  # f and log q
        (gradient,) = torch.autograd.grad(loss(From(chains), model, u).total, model.network.slope)
        assert float(gradient) == pytest.approx(-shift / (1 + gap**2), rel=1e-4)


def test_a_density_without_a_reference_learns_too():
    """All of log p is f: the gap is that of the mixture's log densities, and no jump is offered."""
    with seeded(0):
        model = GMM(Event((2,)), components=2).double()
    u, chains = (Rows(seed, 50, dtype=torch.float64).normal(2) for seed in (0, 1))
    found = loss(From(chains, jumps=3), model, u)
    gap = (model.log_prob(u).mean() - model.log_prob(chains).mean()).detach() / 2
    assert float(found.terms["energy_gap"].detach()) == pytest.approx(float(gap), abs=1e-5)
    assert "jumps" not in found.terms
    assert all(torch.autograd.grad(found.total, model.means)[0].abs().sum(1) > 0)


# -- noise and jumps -------------------------------------------------------------------------------------------------
def test_noise_of_that_size_is_added_to_the_data():
    model, u = EBM(Event((3,)), network=Plane(3)), torch.full((5000, 3), 2.0)
    objective = From(torch.zeros(5000, 3), noise=0.5)
    weight = torch.rand(5000)
    loss(objective, model, u, weight=weight)
    added = objective.seen.u - u
    assert float(added.std()) == pytest.approx(0.5, rel=0.03) and float(added.mean()) == pytest.approx(0, abs=0.02)
    assert objective.seen.weight is weight and torch.equal(u, torch.full((5000, 3), 2.0))
    first = objective.seen.u
    loss(objective, model, u, seed=1)
    assert not torch.equal(objective.seen.u, first)
    loss(objective, model, u)
    assert torch.equal(objective.seen.u, first)


def test_jumps_bring_chains_from_anywhere_to_the_reference_where_f_is_flat():
    """And their share is told; without jumps the chains stay where they are."""
    model, far = EBM(Event((2,)), network=Plane(2)), torch.full((500, 2), 30.0)
    model.network.slope.data.zero_()
    assert float(loss(From(far, jumps=1), model, torch.zeros(500, 2)).terms["jumps"]) == 1.0
    objective = From(far, jumps=0)
    assert "jumps" not in loss(objective, model, torch.zeros(500, 2)).terms
    for jumps, mean in ((0, 30.0), (1, 0.0)):
        objective = From(far, jumps=jumps)
        objective.setup(model)
        batch = Batch(torch.zeros(500, 2))
        run = objective._moved(batch, model, far, contexts_of(batch), Rows(0, 500))
        assert float(run.state.u.mean()) == pytest.approx(mean, abs=0.15)


# -- what is asked of a model ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("objective", THREE)
def test_discrete_data_have_no_slope_for_langevin_and_the_message_says_what_there_is(objective):
    model = RBM(Event((4,), "binary"))
    with pytest.raises(CapabilityError, match=r"chains by langevin needs .* 'score'; rbm answers: .*energy.*gibbs"):
        objective().check(model)
    objective(kernel=Gibbs()).check(model)


@pytest.mark.parametrize("objective", THREE)
def test_a_model_without_an_energy_is_refused(objective):
    with pytest.raises(CapabilityError, match=r"needs a model that answers 'energy'; gan answers: decode, sample"):
        objective().check(GAN(Event((2,)), hidden=(4,)))


@pytest.mark.parametrize("objective", THREE)
@pytest.mark.parametrize("options", [{"steps": 0}, {"penalty": -0.1}, {"noise": -1.0}, {"jumps": -1}])
def test_wrong_options_are_refused(objective, options):
    with pytest.raises(ValueError, match=r"expected steps >= 1 and penalty, noise, jumps >= 0; got .*-?\d"):
        objective(**options)


# -- the health of a run ---------------------------------------------------------------------------------------------
def test_a_gap_that_no_chain_closes_is_named_and_a_large_one_is_not():
    objective = ContrastiveDivergence()
    for gap in (51.0, -51.0, 1e6):
        assert objective.lost({"energy_gap": gap}).startswith(f"energy_gap is {gap:.3g} nats per entry")
    assert [objective.lost({"energy_gap": gap}) for gap in (0.0, 49.0, -49.0)] == [None] * 3
    assert objective.lost({}) is None


def test_chains_that_stand_still_are_named():
    objective = PersistentContrastiveDivergence()
    assert "accept 4% of their moves" in objective.diagnose({"acceptance": 0.04})
    assert objective.diagnose({"acceptance": 0.3}) is None and objective.diagnose({}) is None


def test_a_run_whose_energy_explodes_is_stopped_with_weights_from_before(tmp_path):
    """The arctan keeps the loss finite: gap alone tells."""
    x = Rows(0, 400).normal(2)
    options = {"objective": "mle_mcmc", "objective.steps": 5, "penalty": 0.0, "hidden": (16,)}
    with pytest.raises(Diverged, match=r"energy_gap is -?[\d.e+]+ nats per entry") as caught:
        fit("ebm", x, steps=100, lr=10.0, out=tmp_path, **options)
    error = caught.value
    assert (error.step, error.last_good) == (50, 0)
    with torch.no_grad():
        assert float(error.model._tilt(x).std()) < 1
