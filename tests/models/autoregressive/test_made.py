"""MADE's own property, one pass that is autoregressive, and what follows from it: exact sums, integrals and draws."""

import math

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows, seeded
from fairway.models.autoregressive.autoregressive import Autoregressive
from fairway.models.autoregressive.made import MADE
from fairway.testing.statistics import ALARM, chi_square_p, mean_p
from fairway.training.fit import fit

LABELS = Event((), "category", levels=3)
CASES = {
    "real": (Event((4,)), None, dict(components=2)),
    "binary": (Event((5,), "binary"), None, dict(ordering="reversed")),
    "levels": (Event((2, 2), "integer", low=0, high=16), None, dict(ordering="random", components=3)),
    "bytes": (Event((1, 2, 2), "integer", low=0, high=255), None, dict(ordering=[2, 0, 3, 1])),
    "categories": (Event((4,), "category", levels=3), LABELS, dict(ordering=[1, 3, 0, 2])),
    "tokens": (Event((3,), "tokens", levels=4), Event((2,)), dict(hidden=())),
}


class Naive(MADE):
    """The same network without the cache: every step is a whole pass."""

    init_state, step = Autoregressive.init_state, Autoregressive.step


def build(name, cls=MADE, seed=0, **options):
    """A model with parameters large enough that every variable minds those before it."""
    event, context_event, own = CASES[name]
    with seeded(seed):
        model = cls(event, context_event, **{"hidden": (24, 24), **own, **options}).eval()
        for parameter in model.parameters():
            parameter.data.add_(0.3 * torch.randn_like(parameter))
    return model


def rows_of(model, n=3, seed=1):
    """n rows in model units, and their embedded context."""
    rows = Rows(seed, n)
    shape, levels = model.model_event.shape, model.model_event.levels
    context = None if model.context_event is None else torch.softmax(rows.normal(model.context_dims), -1)
    return (rows.normal(*shape) if levels is None else rows.integers(levels, *shape)), context


# -- autoregressive -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("ordering", ["natural", "reversed", "random", [2, 0, 3, 1]])
@pytest.mark.parametrize("hidden", [(24, 24), (16,), ()])
def test_the_jacobian_of_the_parameters_is_strictly_triangular(ordering, hidden):
    model = build("real", ordering=ordering, hidden=hidden)
    u, _ = rows_of(model)
    jacobian = torch.autograd.functional.jacobian(lambda v: model.params(v).sum(0), u)  # (D, P, n, D)
    assert torch.equal(jacobian.abs().amax((1, 2)) > 0, model.ordering.before())


@pytest.mark.parametrize("name", [name for name in CASES if name != "real"])
def test_levels_move_later_variables_only(name):
    model = build(name)
    u, context = rows_of(model, 30)
    flat, before = u.flatten(1), model.ordering.before()
    with torch.no_grad():
        start = model.params(u, context)
        for j in range(model.dims):
            other = flat.clone()
            other[:, j] = (other[:, j] + 1) % model.model_event.levels
            moved = (model.params(other.reshape_as(u), context) - start).abs().amax((0, 2)) > 0
            assert torch.equal(moved, before[:, j])


# -- sums and integrals ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("event", "options"),
    [
        (Event((6,), "binary"), {}),
        (Event((3,), "category", levels=4), {"ordering": "random"}),
        (Event((1, 2, 1), "integer", low=2, high=10), {"components": 2}),
        (Event((1,), "integer", low=0, high=255), {"components": 2}),
        (Event((4,), "tokens", levels=3), {"ordering": "reversed", "hidden": ()}),
    ],
)
def test_probabilities_sum_to_one(event, options):
    with seeded(0):
        model = MADE(event, **{"hidden": (12, 12), **options}).double().eval()
        for parameter in model.parameters():
            parameter.data.add_(torch.randn_like(parameter))
    values = torch.arange(event.levels) + event.offset
    everything = torch.cartesian_prod(*[values] * event.dims).reshape(-1, *event.shape)
    with torch.no_grad():
        assert float(model.log_prob(everything).logsumexp(0)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("ordering", ["natural", "reversed"])
def test_the_density_integrates_to_one_in_awkward_units(ordering):
    """Columns of scale 40 at 1,000 and of scale 3e-3 at -7e-3: a Riemann sum in data units."""
    centre, scale = torch.tensor([1000.0, -7e-3]).double(), torch.tensor([40.0, 3e-3]).double()
    with seeded(0):
        model = MADE(Event((2,)), hidden=(16, 16), components=3, ordering=ordering)
        model.network.last.weight.data.mul_(5)
    model.preprocess.fit(centre + scale * torch.randn(2000, 2).double())
    model.double().eval()
    ticks = torch.linspace(-25, 25, 500, dtype=torch.float64)
    with torch.no_grad():
        log_prob = model.log_prob(centre + scale * torch.cartesian_prod(ticks, ticks), batch_size=50_000)
    cell = float((ticks[1] - ticks[0]) ** 2 * scale.prod())
    assert float(log_prob.exp().sum()) * cell == pytest.approx(1, abs=1e-3)


# -- draws ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", CASES)
def test_cached_and_naive_draws_are_the_same(name):
    model, naive = build(name).double(), build(name, Naive).double()
    naive.load_state_dict(model.state_dict())
    _, context = rows_of(model, 150)
    context = None if context is None else context.double()
    with torch.no_grad():
        cached = model._sample(150, context, Rows(7, 150, dtype=torch.float64))
        slow = naive._sample(150, context, Rows(7, 150, dtype=torch.float64))
    if model.model_event.counted:
        assert torch.equal(cached, slow)
    else:
        torch.testing.assert_close(cached, slow, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("label", [None, 0, 2])
def test_draws_are_as_likely_as_said(label):
    with seeded(5):
        model = MADE(Event((4,), "binary"), None if label is None else LABELS, hidden=(16,), ordering="random").eval()
        for parameter in model.parameters():
            parameter.data.add_(0.5 * torch.randn_like(parameter))
    values = torch.cartesian_prod(*[torch.arange(2)] * 4)
    context = None if label is None else torch.full((16,), label)
    with torch.no_grad():
        expected = 6000 * model.log_prob(values, context).exp()
    draws = model.sample(6000, context=label, generator=3) @ torch.tensor([8, 4, 2, 1])
    assert chi_square_p(draws.bincount(minlength=16), expected) > ALARM


def test_real_draws_have_the_entropy_of_the_density():
    """E_x~p[-log p(x)] by draws against the same integral on a grid, and the score's mean is zero."""
    with seeded(1):
        model = MADE(Event((2,)), hidden=(16,), components=2).double().eval()
        model.network.last.weight.data.mul_(10)
    ticks = torch.linspace(-25, 25, 600, dtype=torch.float64)
    with torch.no_grad():
        log_prob = model.log_prob(torch.cartesian_prod(ticks, ticks), batch_size=50_000)
        entropy = float(-(log_prob.exp() * log_prob).sum() * (ticks[1] - ticks[0]) ** 2)
        draws = model.sample(4000, generator=2)
        assert mean_p(-model.log_prob(draws), entropy) > ALARM
    score = model.score(draws)
    assert all(mean_p(score[:, i], 0.0) > ALARM for i in range(2))


# -- contexts and learning ------------------------------------------------------------------------------------------
def test_the_context_changes_every_conditional():
    model = build("categories")
    u, _ = rows_of(model, 1)
    params = model.params(u.expand(3, -1), torch.eye(3))
    assert bool((params.std(0).amax(-1) > 0).all())
    assert not torch.equal(model.sample(50, context=0, generator=0), model.sample(50, context=1, generator=0))


def test_it_learns_parity():
    """x3 = x1 xor x2: no pair of variables is dependent, so that only a hidden layer can know; -log p -> 2 log 2."""
    x = torch.cartesian_prod(torch.arange(2), torch.arange(2)).repeat(100, 1)
    x = torch.cat([x, x.sum(1, keepdim=True) % 2], 1)
    model = fit("made", x, hidden=(32,), steps=200, validation=0, seed=0)
    with torch.no_grad():
        assert float(-model.log_prob(x).mean()) == pytest.approx(2 * math.log(2), abs=0.03)
        samples = model.sample(500, generator=0)
    assert float(((samples.sum(1) % 2) == 0).float().mean()) > 0.97


def test_it_learns_a_law_given_a_label():
    """Two labels, two levels: draws under a label follow that label."""
    label = torch.arange(2).repeat(200)
    x = torch.stack([label * 9, 9 - label * 9], 1) + torch.randint(0, 3, (400, 2))
    model = fit("made", x, context=label, hidden=(16,), steps=150, seed=0)
    mean = model.sample(300, context=torch.arange(2), generator=0).double().mean(1)
    torch.testing.assert_close(mean, torch.tensor([[1.0, 10.0], [10.0, 1.0]]).double(), atol=0.6, rtol=0)


def test_it_starts_at_the_heads_own_law():
    with seeded(0):
        model = MADE(Event((3, 3), "integer", low=0, high=16)).eval()
    u, _ = rows_of(model, 8)
    spread = model.params(u) - model.head.initial()
    assert float(spread.detach().abs().max()) < 0.5
    assert float(-model.log_prob(u).detach().mean() / 9) < 1.1 * math.log(17)


def test_refusals():
    with pytest.raises(ValueError, match="expected components as a positive integer, got 0"):
        MADE(Event((2,)), components=0)
    with pytest.raises(ValueError, match="expected an ordering among natural, reversed, random"):
        MADE(Event((2,)), ordering="spiral")
