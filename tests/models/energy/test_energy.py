"""An energy learned by its own chains: the density it names, the draws it gives, and where they start."""

import pytest
import torch
from torch import nn

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, mix, seeded
from fairway.metrics.log_normaliser import log_normaliser
from fairway.models.classical.mixture import GMM
from fairway.models.energy.energy import EBM, ModelReference
from fairway.models.flow.real_nvp import RealNVP
from fairway.networks.dcgan import ConvCritic
from fairway.networks.fourier import FourierMLP
from fairway.networks.mlp import MLP
from fairway.samplers.ais import AIS
from fairway.samplers.driver import Fixed
from fairway.samplers.hmc import HMC
from fairway.samplers.langevin import Langevin
from fairway.samplers.mcmc import MCMC
from fairway.samplers.target import Reference, Target, Tempered


def trained(x, steps=400, context_event=None, context=None):
    """Plain Adam on batches of 128: independent of the library's training loop."""
    with seeded(0):
        model = EBM(Event(tuple(x.shape[1:])), context_event, hidden=(32, 32), chain_steps=60)
    model.preprocess.fit(x)
    embedded = None if context is None else model._context_rows(context, (len(x),))
    objective = model.default_objective()
    objective.setup(model)
    optimiser = torch.optim.Adam(model.parameters(), 4e-3, betas=(0.5, 0.999))
    for k in range(steps):
        rows = Rows(mix(0, k), 128)
        pick = rows.integers(len(x))
        u, _ = model._to_model(x[pick])
        batch = Batch(u, None if embedded is None else embedded[pick])
        loss = objective.loss(batch, model, phase=Phase(), generator=rows.spawn(1)).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


def two_humps(n):
    rows = Rows(11, n, dtype=torch.float64)
    side = (rows.uniform() < 0.7).double() * 2 - 1
    return torch.stack([1000 + 40 * (side + 0.3 * rows.normal()), -7e-3 + 3e-3 * rows.normal()], 1)


@pytest.fixture(scope="module")
def model():
    return trained(two_humps(1000))


def test_the_normalised_energy_has_the_data_s_two_humps(model):
    x, y = torch.linspace(850, 1150, 90).double(), torch.linspace(-20e-3, 6e-3, 60).double()
    p = torch.softmax(-model.energy(torch.cartesian_prod(x, y)).double(), 0).reshape(90, 60).sum(1)
    assert float(p[x > 1000].sum()) == pytest.approx(0.7, abs=0.15)
    valley, humps = p[(x - 1000).abs() < 8].max(), p.max()
    assert float(valley / humps) < 0.35


def test_draws_have_the_moments_of_the_data(model):
    x, data = model.sample(1000, generator=0).double(), two_humps(1000)
    torch.testing.assert_close((x.mean(0) - data.mean(0)) / data.std(0), torch.zeros(2).double(), atol=0.25, rtol=0)
    torch.testing.assert_close(x.std(0) / data.std(0), torch.ones(2).double(), atol=0.2, rtol=0)


def test_long_chains_neither_freeze_nor_fly_away(model):
    kernel = Langevin(float(model.step_size), metropolis=True)
    draws = model.draw(300, sampler=MCMC(kernel, Fixed(500, warmup=0)), generator=0)
    assert draws.effective_temperature == 1
    assert 0.4 < draws.acceptance < 0.98
    data = two_humps(1000)
    torch.testing.assert_close(draws.samples.double().std(0) / data.std(0), torch.ones(2).double(), atol=0.3, rtol=0)


def test_row_i_starts_at_a_chain_of_its_own():
    model = EBM(Event((1,)))
    model._keep(torch.arange(10.0).unsqueeze(1), torch.zeros(10, 0), torch.tensor(0.1))
    starts = model._chains(None, Rows(0, 10))
    assert sorted(starts.flatten().tolist()) == list(range(10))
    torch.testing.assert_close(model._chains(None, Rows(0, 3, start=4)), starts[4:7])


def test_without_chains_draws_start_at_the_reference():
    model = EBM(Event((3,)))
    torch.testing.assert_close(model._chains(None, Rows(0, 5)), Rows(0, 5).normal(3))


def test_a_chain_of_the_asked_context_is_taken():
    model = EBM(Event((1,)), Event((), "category", levels=2))
    model._keep(torch.tensor([[0.0], [1.0], [0.0], [1.0]]), torch.eye(2)[[0, 1, 0, 1]], torch.tensor(0.1))
    starts = model._chains(torch.eye(2)[[1, 0, 1, 1, 0]], Rows(0, 5))
    assert starts.flatten().tolist() == [1, 0, 1, 1, 0]


def test_labels_are_followed():
    label = Rows(1, 500).integers(2)
    x = Rows(2, 500).normal(1) * 0.3 + label.unsqueeze(1) * 3.0
    model = trained(x, 250, Event((), "category", levels=2), label)
    means = model.sample(200, context=torch.tensor([0, 1]), generator=0).mean((1, 2))
    torch.testing.assert_close(means, torch.tensor([0.0, 3.0]), atol=0.5, rtol=0)


def test_score_is_the_gradient_of_minus_the_energy(model):
    x = two_humps(7).requires_grad_()
    (gradient,) = torch.autograd.grad(-model.energy(x).sum(), x)
    torch.testing.assert_close(model.score(x.detach()), gradient, rtol=1e-4, atol=1e-4)


# -- the network -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("event", "context", "kind"),
    [
        (Event((2,)), None, FourierMLP),
        (Event((4,)), None, FourierMLP),
        (Event((5,)), None, MLP),
        (Event((3,)), Event((), "category", levels=2), MLP),
        (Event((2,)), Event((), "category", levels=2), FourierMLP),
        (Event((1, 2, 2)), None, FourierMLP),
        (Event((3, 8, 8), "integer", low=0, high=255), None, ConvCritic),
        (Event((8, 8), "integer", low=0, high=16), Event((), "category", levels=10), ConvCritic),
    ],
)
def test_waves_in_a_few_dimensions_convolutions_on_pictures_a_perceptron_elsewhere(event, context, kind):
    with seeded(0):
        model = EBM(event, context, hidden=(8,)).eval()
    assert type(model.network) is kind
    u, given = torch.zeros(3, *event.shape), None if context is None else torch.eye(context.levels)[[0, 1, 1]]
    f = model._tilt(u, given).detach()
    assert f.shape == (3,) and float(f[1] - f[2]) == pytest.approx(0, abs=1e-6)
    assert given is None or float((f[0] - f[1]).abs()) > 1e-4


@pytest.mark.parametrize("network", [nn.Linear(3, 2), MLP(3, 2, (4,))])
def test_a_network_of_two_outputs_is_refused_by_whoever_asks_it_first(network):
    model = EBM(Event((3,)), network=network).eval()
    for ask in (lambda: model.energy(torch.zeros(5, 3)), lambda: model.sample(5, generator=0)):
        with pytest.raises(ValueError, match=r"a network \(B, 3\) -> \(B, 1\), got \(5, 2\)"):
            ask()


def test_value_and_score_in_one_pass_are_those_of_autograd():
    with seeded(0):
        model = EBM(Event((1, 2, 2)), Event((2,)), hidden=(8, 8)).double()
    u, context = Rows(0, 6, dtype=torch.float64).normal(1, 2, 2), Rows(1, 6, dtype=torch.float64).normal(2)
    value, score = model._value_and_score(u, context)
    torch.testing.assert_close(value, model._log_unnorm(u, context).detach(), rtol=0, atol=1e-12)
    torch.testing.assert_close(score, model._score(u, context), rtol=0, atol=1e-12)


# -- a reference of its own --------------------------------------------------------------------------------------------
def tilted(flat=False):
    """A tilt of two Gaussians far apart; `flat`: f = 0, so that the model is its reference."""
    with seeded(0):
        reference = GMM(Event((2,)), components=2)
        model = EBM(Event((2,)), hidden=(8,), reference=reference)
    means = torch.tensor([[-6.0, 0.0], [6.0, 3.0]])
    reference.set_components(torch.tensor([0.3, 0.7]), means, 0.25 * torch.eye(2).expand(2, 2, 2))
    if flat:
        for parameter in model.network.parameters():
            parameter.data.zero_()
    return model.double().eval()


def test_annealing_starts_at_the_reference_and_has_nothing_to_do_where_f_is_flat():
    """log Z = 0, every weight is 1; from N(0, I) the weights of the same model are worth much less."""
    model = tilted(flat=True)
    found = log_normaliser(model, n=200, sampler=MCMC(HMC(), AIS(10)))
    assert found.value == pytest.approx(0, abs=1e-9) and found.info["ess"] == pytest.approx(200, abs=1e-6)
    assert log_normaliser(model, n=200, sampler=MCMC(HMC(), AIS(10, std=6.0))).info["ess"] < 100


def test_annealing_from_the_reference_finds_log_z():
    """f = 1 + sin u_1 / 2: log Z = log E_q exp f, by draws of q."""

    class Wave(nn.Module):
        def forward(self, u):
            return 1 + 0.5 * u[:, :1].sin()

    model = tilted()
    model.network = Wave()
    found = log_normaliser(model, n=2000, sampler=MCMC(HMC(), AIS(10)))
    draws = model._births(Rows(5, 100_000, dtype=torch.float64)).detach()
    assert found.value == pytest.approx(float(model._tilt(draws).exp().mean().log()), abs=0.02)
    assert found.info["ess"] > 1500


def test_the_reference_as_samplers_see_it():
    model, u = tilted(), 4 * Rows(1, 20, dtype=torch.float64).normal(2)
    q = model.annealed_from
    assert isinstance(q, ModelReference) and isinstance(EBM(Event((2,))).annealed_from, Reference)
    torch.testing.assert_close(q.log_prob(u), model.reference.log_prob(u).detach())
    torch.testing.assert_close(q.score(u), model.reference.score(u).detach())
    draws = q.sample(Rows(0, 500, dtype=torch.float64), (2,)).detach()
    assert draws.shape == (500, 2) and float((draws[:, 0].abs() - 6).abs().max()) < 2.5


def test_a_path_of_temperatures_from_the_reference_to_the_model():
    """log pi_beta = log q + beta f, and its gradient."""
    model, u = tilted(), 4 * Rows(1, 20, dtype=torch.float64).normal(2)
    path = Tempered(Target.of(model), model.annealed_from)
    for beta in (0.0, 0.3, 1.0):
        point = u.clone().requires_grad_()
        wanted = model._log_reference(point) + beta * model._tilt(point)
        (slope,) = torch.autograd.grad(wanted.sum(), point)
        value, grad = path.at(beta).value_and_grad(u)
        torch.testing.assert_close(value, wanted.detach())
        torch.testing.assert_close(grad, slope)


def test_draws_start_at_the_reference_and_keep_the_shares_of_its_modes():
    model = tilted(flat=True)
    draws = model.sample(1000, generator=0)
    assert float((draws[:, 0] > 0).double().mean()) == pytest.approx(0.7, abs=0.06)
    assert float(draws[draws[:, 0] > 0].std(0).mean()) == pytest.approx(0.5, abs=0.05)


def test_a_reference_built_by_hand_is_saved_with_the_model(tmp_path):
    with seeded(0):
        flow = RealNVP(Event((2,)), transforms=2, hidden=(4,))
        model = EBM(Event((2,)), hidden=(8,), reference=flow).eval()
        nn.init.normal_(next(iter(flow.parameters())))
    model.save(tmp_path)
    loaded, x = EBM.load(tmp_path), Rows(0, 20).normal(2)
    assert torch.equal(loaded.energy(x), model.energy(x)) and type(loaded.reference) is RealNVP
    assert torch.equal(loaded.sample(5, generator=0), model.sample(5, generator=0))


@pytest.mark.parametrize("name", ["gan", "vae"])
def test_a_reference_without_a_density_is_refused(name):
    with pytest.raises(ValueError, match=rf"a reference with a density and direct draws \(gmm, nsf\), got {name}"):
        EBM(Event((2,)), reference=name)


def test_a_reference_of_another_event_or_of_no_name_is_refused():
    with pytest.raises(ValueError, match=r"the event in model units, got one on Event\(shape=\(3,\)"):
        EBM(Event((2,)), reference=GMM(Event((3,))))
    with pytest.raises(ValueError, match="no model named 'gauss'"):
        EBM(Event((2,)), reference="gauss")
