"""Flow matching learns a density that integrates to one, agrees with its samples, and follows its context."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, mix, seeded
from fairway.models.diffusion.flow_matching import FlowMatching
from fairway.training.fit import fit, loop


def trained(event, x, context_event=None, context=None, steps=300, **options):
    """A few hundred plain Adam steps on all rows: independent of the library's training loop."""
    with seeded(0):
        model = FlowMatching(event, context_event, hidden=(48, 48), **options)
    model.preprocess.fit(x)
    embedded = None if context is None else model._context_rows(context, (len(x),))
    optimiser, objective = torch.optim.Adam(model.parameters(), 3e-3), model.default_objective()
    for step in range(steps):
        rows = Rows(mix(0, step), len(x))
        u, _ = model._to_model(x, rows.spawn(7))
        loss = objective.loss(Batch(u, embedded), model, phase=Phase(), generator=rows).total
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
    return trained(Event((2,)), two_humps(256))


def test_density_integrates_to_one(model):
    x, y = torch.linspace(880, 1120, 44).double(), torch.linspace(-24e-3, 10e-3, 44).double()
    points = torch.cartesian_prod(x, y)
    mass = model.log_prob(points).double().exp().sum() * (x[1] - x[0]) * (y[1] - y[0])
    assert float(mass) == pytest.approx(1.0, abs=0.01)


def test_samples_have_the_moments_of_the_data(model):
    x, data = model.sample(2000, generator=0).double(), two_humps(512)
    assert float((x[:, 0] > 1000).double().mean()) == pytest.approx(0.7, abs=0.06)
    torch.testing.assert_close(x.mean(0), data.mean(0), atol=6.0, rtol=0)
    torch.testing.assert_close(x.std(0) / data.std(0), torch.ones(2).double(), atol=0.12, rtol=0)


def test_velocity_is_what_the_general_solve_gives(model):
    rows = Rows(0, 20)
    u, t = rows.normal(2), rows.uniform()
    torch.testing.assert_close(model._velocity(u, t), super(FlowMatching, model)._velocity(u, t), atol=1e-5, rtol=1e-5)


def test_labels_are_followed():
    label = Rows(1, 384).integers(2)
    x = Rows(2, 384).normal(1) * 0.2 + label.unsqueeze(1) * 3.0
    model = trained(Event((1,)), x, Event((), "category", levels=2), label, steps=250)
    means = model.sample(200, context=torch.tensor([0, 1]), generator=0).mean((1, 2))
    torch.testing.assert_close(means, torch.tensor([0.0, 3.0]), atol=0.25, rtol=0)


def test_your_own_network_takes_the_default_s_place():
    class Zero(torch.nn.Module):
        def forward(self, u, t, context=None):
            return torch.zeros_like(u)

    model = FlowMatching(Event((2, 2)), network=Zero())
    x = model.sample(3, generator=0)
    torch.testing.assert_close(x, Rows(0, 3).normal(2, 2).to(x.dtype))


@pytest.mark.parametrize(
    ("shape", "law"), [((2,), "wide_normal"), ((1, 2, 2), "wide_normal"), ((8, 8), "logit_normal")]
)
def test_tables_are_learned_at_less_noise_than_images(shape, law):
    assert FlowMatching(Event(shape), hidden=(8, 8)).default_objective().times == law
    x = torch.randn(40, *shape, generator=torch.Generator().manual_seed(0))
    run = next(loop("flow_matching", x, steps=1, hidden=(8, 8), coupling="optimal_transport"))
    assert run.objective.times == law and run.objective.coupling.couples


def test_a_thin_circle_is_drawn_thin():
    """A circle of radius 1 and thickness 0.02: as many steps at the middle times, 64 rows each, drew it 0.09 thick."""
    generator = torch.Generator().manual_seed(0)
    angle, radius = 2 * torch.pi * torch.rand(8000, generator=generator), torch.randn(8000, generator=generator)
    x = (1 + 0.02 * radius).unsqueeze(1) * torch.stack([angle.cos(), angle.sin()], 1)
    model = fit("flow_matching", x, hidden=(64, 64), steps=600, seed=0)
    assert float(model.sample(1000, generator=0).norm(dim=1).std()) < 0.07
