"""The gradient through the critic's reaction against finite differences, and the orbit that it turns into a spiral."""

import copy

import pytest
import torch
import torch.nn.functional as F

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.gan.generator import Generator
from fairway.objectives.adversarial import Adversarial
from fairway.objectives.unrolled import Unrolled
from fairway.objectives.views import InstanceNoise

CRITIC, MODEL = Phase("critic"), Phase("model")


class Parabola(torch.nn.Module):
    """d(u) = a u + b u^2, with a part that does not learn and one that does nothing."""

    def __init__(self):
        super().__init__()
        self.a, self.b = (torch.nn.Parameter(torch.tensor(v, dtype=torch.float64)) for v in (0.3, -0.2))
        self.held = torch.nn.Parameter(torch.tensor(0.1, dtype=torch.float64), requires_grad=False)
        self.idle = torch.nn.Parameter(torch.tensor(1.0, dtype=torch.float64))

    def forward(self, u, context=None):
        u = u[:, 0]
        return self.a * u + self.b * u.square() + self.held


@pytest.fixture
def line():
    """u = w z + b on the line."""
    with seeded(0):
        return Generator(Event((1,)), latent=1, hidden=()).double()


@pytest.fixture
def rows():
    u = 2 + Rows(1, 16, dtype=torch.float64).normal(1)
    return Batch(u, weight=torch.arange(1.0, 17.0, dtype=torch.float64))


def noise():
    return Rows(0, 16, dtype=torch.float64)


def value(line, rows, k, rate):
    """The generator's loss after k steps of another's optimiser, without a gradient through them."""
    critic = Parabola()
    fake = line._decode(noise().normal(1)).detach()
    moves = torch.optim.SGD([critic.a, critic.b], lr=rate)
    for _ in range(k):
        moves.zero_grad()
        rows.mean(F.softplus(-critic(rows.u)) + F.softplus(critic(fake))).backward()
        moves.step()
    return rows.mean(F.softplus(-critic(fake))).item()


@pytest.mark.parametrize("k", [0, 1, 2, 5])
def test_the_gradient_is_that_of_the_value_after_k_moves(line, rows, k):
    objective = Unrolled(critic=Parabola(), unroll=k, unroll_lr=0.7)
    loss = objective.loss(rows, line, phase=MODEL, generator=noise())
    assert loss.total.item() == pytest.approx(value(line, rows, k, 0.7), rel=1e-12)
    gradients = torch.autograd.grad(loss.total, list(line.parameters()))
    for parameter, gradient in zip(line.parameters(), gradients, strict=True):
        sides = []
        for step in (1e-5, -1e-5):
            parameter.data.add_(step)
            sides.append(value(line, rows, k, 0.7))
            parameter.data.sub_(step)
        assert gradient.item() == pytest.approx((sides[0] - sides[1]) / 2e-5, rel=1e-6)


def test_the_critics_reaction_is_in_the_gradient(line, rows):
    """Without the second term of the chain rule it would be another."""
    objective = Unrolled(critic=Parabola(), unroll=5, unroll_lr=0.7)
    whole = torch.autograd.grad(objective.loss(rows, line, phase=MODEL, generator=noise()).total, line.parameters())
    with torch.no_grad():
        real, fake = objective.shown(rows, line, noise().normal(1))
    for name, weight in objective.ahead(rows, real, fake).items():
        getattr(objective.critic, name.removeprefix("critic.")).data.copy_(weight)
    first = Adversarial("non_saturating", "none", critic=objective.critic)
    part = torch.autograd.grad(first.loss(rows, line, phase=MODEL, generator=noise()).total, line.parameters())
    assert all((a - b).abs() > 0.05 * b.abs() for a, b in zip(whole, part, strict=True))


def plane(objective):
    with seeded(0):
        model = Generator(Event((2,)), Event((), "category", levels=3), latent=2, hidden=(8,))
    with seeded(1):
        objective.setup(model)
    return model, Batch(Rows(1, 16).normal(2), torch.eye(3)[Rows(2, 16).integers(3)])


@pytest.mark.parametrize("divergence", ["non_saturating", "relativistic", "kl"])
def test_without_moves_it_is_the_plain_game(divergence):
    views, results = (InstanceNoise(0.3),), []
    for objective in (
        Unrolled(divergence, critic_hidden=(8,), views=views, unroll=0),
        Adversarial(divergence, "none", critic_hidden=(8,), views=views, critic_steps=1),
    ):
        model, batch = plane(objective)
        for phase in (CRITIC, MODEL):
            loss = objective.loss(batch, model, phase=phase, generator=Rows(0, 16)).total
            results.append(loss.detach())
        results.extend(torch.autograd.grad(loss, model.parameters()))
    half = len(results) // 2
    for one, other in zip(results[:half], results[half:], strict=True):
        torch.testing.assert_close(one, other)


def test_each_player_moves_alone_and_the_critic_stays():
    objective = Unrolled(critic_hidden=(8,))
    model, batch = plane(objective)
    before = copy.deepcopy(objective.critic.state_dict())
    objective.loss(batch, model, phase=MODEL, generator=Rows(0, 16)).total.backward()
    assert all(p.grad is None and p.requires_grad for p in objective.critic.parameters())
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())
    assert all(value.equal(before[name]) for name, value in objective.critic.state_dict().items())
    model.zero_grad()
    objective.loss(batch, model, phase=CRITIC, generator=Rows(0, 16)).total.backward()
    assert all(p.grad is None for p in model.parameters())
    assert all(p.grad is not None for p in objective.critic.parameters())


def test_it_looks_ahead_where_no_gradient_is_asked_for():
    objective = Unrolled(critic_hidden=(8,))
    model, batch = plane(objective)
    expected = objective.loss(batch, model, phase=MODEL, generator=Rows(0, 16)).total
    with torch.no_grad():
        torch.testing.assert_close(objective.loss(batch, model, phase=MODEL, generator=Rows(0, 16)).total, expected)


class Point(torch.nn.Module):
    """A generator of one point, theta."""

    latent_event = Event((1,))

    def __init__(self):
        super().__init__()
        self.theta = torch.nn.Parameter(torch.tensor(1.0))

    def _decode(self, z, context=None):
        return self.theta.expand(len(z), 1)


class Slope(torch.nn.Module):
    """d(u) = psi u."""

    def __init__(self):
        super().__init__()
        self.psi = torch.nn.Parameter(torch.tensor(0.0))

    def forward(self, u, context=None):
        return self.psi * u[:, 0]


@pytest.mark.parametrize(("k", "low", "high"), [(0, 0.9, 1.1), (1, 0.01, 0.1), (5, 0.0, 1e-5)])
def test_orbits_become_spirals(k, low, high):
    """A point at theta, data at 0, d(u) = psi u: plain moves go round the equilibrium for ever. The generator foresees
    psi - k eta theta, so that its slope is -psi + 2 k eta theta: friction."""
    point, objective = Point(), Unrolled("wasserstein", critic=Slope(), unroll=k, unroll_lr=0.1)
    theta, psi = point.theta, objective.critic.psi
    batch, distances = Batch(torch.zeros(1, 1)), []
    for step in range(400):
        for phase, moving in ((CRITIC, psi), (MODEL, theta)):
            loss = objective.loss(batch, point, phase=phase, generator=Rows(step, 1)).total
            (slope,) = torch.autograd.grad(loss, moving)
            moving.data.sub_(0.1 * slope)
        torch.testing.assert_close(slope, -psi.detach() + 0.2 * k * (theta.detach() + 0.1 * slope))
        distances.append(torch.hypot(theta, psi).item())
    assert low < max(distances[-100:]) < high


@pytest.mark.parametrize("options", [{"unroll": -1}, {"unroll_lr": 0.0}, {"unroll_lr": float("nan")}])
def test_errors_say_what_was_expected(options):
    with pytest.raises(ValueError, match="unroll of at least 0 and unroll_lr above 0"):
        Unrolled(**options)
