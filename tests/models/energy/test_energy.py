"""An energy learned by its own chains: the density it names, the draws it gives, and where they start."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, mix, seeded
from fairway.models.energy.energy import EBM
from fairway.samplers.driver import Fixed
from fairway.samplers.langevin import Langevin
from fairway.samplers.mcmc import MCMC


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
