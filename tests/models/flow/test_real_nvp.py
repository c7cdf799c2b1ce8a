"""RealNVP: triangular couplings under alternating masks, exact both ways, sharper than a Gaussian."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import seeded
from fairway.models.flow.real_nvp import RealNVP
from fairway.models.flow.transforms.coupling import Coupling
from fairway.models.flow.transforms.permutation import Permutation, checkerboard
from fairway.training.fit import fit


def redrawn(event, context_event=None, transforms=5, units=None):
    """Float64, parameters from N(0, 0.3^2): a flow that is far from the identity."""
    with seeded(0):
        model = RealNVP(event, context_event, transforms=transforms, hidden=(8,)).double()
        for parameter in model.parameters():
            parameter.data.normal_(0, 0.3)
    if units is not None:
        model.preprocess.fit(units)
    return model.eval().requires_grad_(False)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_as_built_it_is_the_identity():
    with seeded(0):
        model = RealNVP(Event((6,)), hidden=(8,)).double()
    with torch.no_grad():
        z, ladj = model.transform.to_latent(normal(5, 6))
    assert torch.equal(z.sort(1).values, normal(5, 6).sort(1).values) and float(ladj.abs().max()) == 0


@pytest.mark.parametrize("dims", [2, 5])
@pytest.mark.parametrize("direction", ["to_latent", "to_data"])
def test_ladj_is_the_log_determinant(dims, direction):
    function = getattr(redrawn(Event((dims,))).transform, direction)
    rows = normal(4, dims)
    for row, value in zip(rows, function(rows)[1], strict=True):
        matrix = torch.autograd.functional.jacobian(lambda r: function(r.unsqueeze(0))[0][0], row)
        torch.testing.assert_close(torch.linalg.slogdet(matrix)[1], value)


@pytest.mark.parametrize("event", [Event((2,)), Event((7,)), Event((3, 3)), Event((2, 2, 3))], ids=repr)
def test_inverse_both_ways(event):
    model = redrawn(event)
    u = normal(30, *event.shape)
    torch.testing.assert_close(model._decode(model._encode(u)), u, atol=1e-9, rtol=0)
    torch.testing.assert_close(model._encode(model._decode(u)), u, atol=1e-9, rtol=0)


def test_density_integrates_to_one_in_data_units():
    units = normal(300, 2) * torch.tensor([40, 3e-3]).double() + torch.tensor([1000, -7e-3]).double()
    model = redrawn(Event((2,)), units=units)
    drawn = model.sample(4_000, generator=0).double()
    low, high = drawn.amin(0), drawn.amax(0)
    low, high = low - 0.6 * (high - low), high + 0.6 * (high - low)
    x, y = (torch.linspace(float(a), float(b), 700, dtype=torch.float64) for a, b in zip(low, high, strict=True))
    mass = model.log_prob(torch.cartesian_prod(x, y)).exp().sum() * (x[1] - x[0]) * (y[1] - y[0])
    assert float(mass) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("shape", [(6,), (4, 4), (1, 3, 4)])
def test_masks_start_as_a_checkerboard_and_alternate(shape):
    links = list(RealNVP(Event(shape), transforms=8, hidden=(4,), levels=0).transform.links)
    kinds = "".join("P" if isinstance(link, Permutation) else "C" for link in links)
    assert kinds == "PCC" * 4
    assert torch.equal(links[0].order, checkerboard(shape))
    assert [link.swap for link in links if isinstance(link, Coupling)] == [False, True] * 4
    orders = [link.order for link in links if isinstance(link, Permutation)]
    assert len({tuple(order.tolist()) for order in orders}) == 4


def test_two_couplings_move_every_entry_given_the_others():
    model = redrawn(Event((5,)), transforms=2)
    matrix = torch.autograd.functional.jacobian(lambda r: model._encode(r.unsqueeze(0))[0], normal(5))
    assert int((matrix != 0).sum(0).min()) >= 3 and float((matrix - torch.eye(5)).abs().diagonal().min()) > 0


def test_the_masks_do_not_depend_on_the_seed():
    def orders(seed):
        with seeded(seed):
            return [m.order for m in RealNVP(Event((9,)), hidden=(4,)).modules() if isinstance(m, Permutation)]

    assert all(torch.equal(a, b) for a, b in zip(orders(0), orders(1), strict=True))


@pytest.mark.parametrize("context_event", [Event((), "category", levels=3), Event((2,))], ids=["label", "numbers"])
def test_context_changes_the_density_and_the_samples(context_event):
    model = redrawn(Event((2,)), context_event)
    x = normal(4, 2)
    one, other = (torch.tensor(0), torch.tensor(2)) if context_event.levels else (torch.zeros(2), torch.ones(2))
    assert float((model.log_prob(x, one) - model.log_prob(x, other)).abs().min()) > 1e-3
    a, b = model.sample(5, context=one, generator=0), model.sample(5, context=other, generator=0)
    assert float((a - b).abs().min()) > 1e-6
    drawn, log_prob = model.sample_and_log_prob(5, context=one, generator=0)
    torch.testing.assert_close(log_prob, model.log_prob(drawn, one), atol=1e-9, rtol=1e-9)


def test_draws_know_their_density():
    model = redrawn(Event((3,), "bounded", low=-1.0, high=3.0))
    x, log_prob = model.sample_and_log_prob(100, generator=0)
    inside = ((x > -1) & (x < 3)).all(1)  # a draw beyond the logit's margin is clipped to the end of the range
    assert int(inside.sum()) > 90
    torch.testing.assert_close(log_prob[inside], model.log_prob(x)[inside], atol=1e-6, rtol=1e-6)


def test_a_draw_carries_the_gradient_to_the_parameters():
    """Reverse KL to a standard normal goes down by gradient steps through the draw alone."""
    model = redrawn(Event((2,)), transforms=2).train().requires_grad_(True)

    def reverse_kl():
        x, log_prob = model.sample_and_log_prob(256, generator=0)
        return (log_prob + 0.5 * x.square().sum(1)).mean()

    before, optimiser = reverse_kl(), torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(30):
        optimiser.zero_grad()
        reverse_kl().backward()
        optimiser.step()
    assert float(reverse_kl().detach()) < float(before.detach()) - 0.05


@pytest.mark.parametrize(
    ("shape", "levels"), [((8, 8), 0), ((1, 14, 28), 0), ((16, 16), 2), ((28, 28), 2), ((3, 17, 32), 0), ((256,), 0)]
)
def test_images_below_sixteen_pixels_a_side_are_flattened(shape, levels):
    model = RealNVP(Event(shape), transforms=2, hidden=(4,))
    assert model.levels == levels and (len(model.shape) == 3) == bool(levels)


def test_levels_asked_for_are_taken_at_any_size():
    event = Event((1, 8, 8))
    assert RealNVP(event, transforms=2, hidden=(4,), levels=2).shape == (1, 8, 8)
    assert RealNVP(Event((28, 28)), transforms=2, hidden=(4,), levels=0).shape == (784,)
    with pytest.raises(ValueError, match=r"to 3; got levels=4 .* divisible by 16"):
        RealNVP(event, levels=4)


def test_dropout_is_for_flattened_images_and_asked_for_otherwise():
    def rates(event, **options):
        modules = RealNVP(event, transforms=2, hidden=(4,), levels=0, **options).modules()
        return {m.p for m in modules if isinstance(m, torch.nn.Dropout)}

    assert rates(Event((4,))) == set() and rates(Event((2, 2))) == {0.2}
    assert rates(Event((4,)), dropout=0.5) == {0.5} and rates(Event((2, 2)), dropout=0.0) == set()


def test_it_learns_what_a_gaussian_cannot():
    """Moons: 0.4 nats per row better than the fitted Gaussian."""
    angle = 3.14 * torch.rand(1_500, generator=torch.Generator().manual_seed(0))
    side = torch.arange(1_500) % 2
    x = torch.stack([angle.cos() + side, angle.sin() * (1 - 2 * side) + 0.4 * side], 1)
    x = x + 0.06 * normal(1_500, 2, seed=1).float()
    flow = fit("real_nvp", x[:1_000], steps=300, transforms=4, hidden=(32,), lr=1e-2)
    gaussian = fit("gaussian", x[:1_000])
    assert float((flow.log_prob(x[1_000:]) - gaussian.log_prob(x[1_000:])).mean()) > 0.4
