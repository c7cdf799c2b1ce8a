"""i-ResNet: branches that contract, a free-form Jacobian, exact or estimated densities, images through convolutions."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.flow.i_resnet import IResNet
from fairway.models.flow.transforms.residual import Residual
from fairway.testing.latents import log_abs_det
from fairway.testing.subject import redraw
from fairway.training.fit import fit


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def built(event, context_event=None, spread=0.3, **options):
    with seeded(0):
        model = IResNet(event, context_event, **{"transforms": 2, "hidden": (8,), **options}).double().eval()
    if spread:
        redraw(model, spread=spread)
    return model


def lipschitz(model, points):
    """The largest spectral norm of every branch's Jacobian, by autograd."""
    branches = [link.branch for link in model.modules() if isinstance(link, Residual)]
    found = []
    for branch in branches:
        jacobians = [torch.autograd.functional.jacobian(lambda r, f=branch: f(r.unsqueeze(0))[0], p) for p in points]
        found.append(max(float(torch.linalg.matrix_norm(j, 2)) for j in jacobians))
    return found


@pytest.mark.parametrize("spread", [0.0, 0.3, 100.0])
def test_every_branch_contracts_and_none_is_constant(spread):
    found = lipschitz(built(Event((4,)), spread=spread), 2 * normal(20, 4))
    assert all(1e-3 < value < 0.95 for value in found)


def test_after_training_the_branches_contract_still_and_have_learned_to_use_it():
    angle = 6.28 * torch.rand(600, generator=torch.Generator().manual_seed(0))
    x = torch.stack([angle.cos(), angle.sin()], 1) + 0.05 * normal(600, 2).float()
    model = fit("i_resnet", x, transforms=3, hidden=(16,), steps=60, lr=2e-2, seed=0)
    found = lipschitz(model, normal(15, 2).float())
    assert max(found) < 0.951 and max(found) > 0.3
    gaussian = fit("gaussian", x)
    assert float((model.log_prob(x) - gaussian.log_prob(x)).mean()) > 0.2


def test_no_entry_of_the_jacobian_is_masked():
    model = built(Event((3,)), transforms=1)
    (link,) = (link for link in model.modules() if isinstance(link, Residual))
    matrix = torch.autograd.functional.jacobian(lambda r: link.latent_of(r.unsqueeze(0))[0], normal(3))
    assert float(matrix.abs().min()) > 0


@pytest.mark.parametrize("dims", [2, 16, 40])
def test_the_density_of_few_entries_is_exact(dims):
    model, u = built(Event((dims,))), normal(5, dims)
    assert model.likelihood == "exact"
    with torch.no_grad():
        found = model._log_prob(u)
    expected = model._log_base(model._encode(u)) + log_abs_det(model._encode, u)
    torch.testing.assert_close(found, expected.detach(), rtol=0, atol=1e-5)


def test_the_density_of_many_entries_is_a_deterministic_estimate_near_the_exact_one():
    model, u = built(Event((20,))), normal(6, 20)
    expected = model._log_prob(u).detach()
    for link in model.modules():
        if isinstance(link, Residual):
            link.exact = False
    with torch.no_grad():
        found = model._log_prob(u)
        assert torch.equal(found, model._log_prob(u))
        torch.testing.assert_close(found[2:3], model._log_prob(u[2:3]))
    assert 0 < float((found - expected).abs().max()) < 1
    assert built(Event((65,))).likelihood == "estimate"


def test_the_estimate_of_training_is_within_three_standard_errors_and_so_is_its_gradient(monkeypatch):
    model = built(Event((5,)))
    monkeypatch.setattr(IResNet, "few_dims", 1)
    n, u = 4_000, normal(1, 5)
    point, many = u.clone().requires_grad_(), u.expand(n, 5).clone().requires_grad_()
    value = model._log_prob(point)
    (slope,) = torch.autograd.grad(value, point)
    estimate = model._log_prob_estimate(many, None, Rows(0, n, dtype=torch.float64))
    (slopes,) = torch.autograd.grad(estimate.sum(), many)
    for found, wanted in ((estimate.detach(), value.detach()[0]), (slopes, slope[0])):
        assert bool(((found.mean(0) - wanted).abs() < 3 * found.std(0) / n**0.5).all())


def test_the_score_of_an_estimated_density_is_its_gradient():
    model, x = built(Event((70,))), normal(3, 70)
    way = normal(3, 70, seed=1)
    ahead, behind = (model.log_prob(x + sign * 1e-5 * way) for sign in (1, -1))
    torch.testing.assert_close((model.score(x) * way).sum(1), (ahead - behind) / 2e-5, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("event", [Event((1, 8, 8)), Event((4, 4)), Event((3, 5, 5))], ids=repr)
def test_images_come_back_from_their_latents(event):
    model, u = built(event, hidden=(4,)), 3 * normal(4, *event.shape)
    with torch.no_grad():
        z = model._encode(u)
        torch.testing.assert_close(model._decode(z), u, rtol=0, atol=1e-9)
        torch.testing.assert_close(z.flatten(1), model._to_latent(u, None)[0], rtol=0, atol=1e-12)
        torch.testing.assert_close(model._from_latent(z.flatten(1), None)[0], u, rtol=0, atol=1e-9)
    assert model.levels == {(1, 8, 8): 2, (4, 4): 2, (3, 5, 5): 0}[event.shape]


def test_an_image_learns_from_estimates_alone():
    x = torch.randint(0, 4, (64, 1, 10, 10), generator=torch.Generator().manual_seed(0)) * 20
    model = fit("i_resnet", x, transforms=1, hidden=(4,), levels=1, steps=4, seed=0)
    assert model.likelihood == "estimate" and bool(model.bound(x[:3], generator=0).isfinite().all())


def test_power_iteration_moves_in_training_and_never_when_asked():
    model, batch = built(Event((2,)), spread=0.3), Batch(normal(8, 2))

    def buffers():
        return {name: b.clone() for name, b in model.named_buffers() if name.endswith("vector")}

    before = buffers()
    model.log_prob(normal(8, 2))
    model.sample(3, generator=0)
    assert all(torch.equal(b, before[name]) for name, b in buffers().items()) and len(before) == 4
    model.train()
    model.default_objective().loss(batch, model, phase=Phase(), generator=Rows(0, 8))
    assert any(not torch.equal(b, before[name]) for name, b in buffers().items())


def test_reverse_kl_goes_down_through_the_draws():
    model = built(Event((2,))).train()

    def loss():
        x, log_prob = model.sample_and_log_prob(128, generator=0)
        return (log_prob + 0.5 * (x - 2).square().sum(1)).mean()

    before, optimiser = float(loss().detach()), torch.optim.Adam(model.parameters(), 0.03)
    for _ in range(15):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    assert float(loss().detach()) < before - 0.5


def test_bad_levels_and_bounds_are_refused():
    with pytest.raises(ValueError, match="levels"):
        built(Event((1, 5, 5)), levels=1)
    with pytest.raises(ValueError, match="0 < lipschitz < 1"):
        built(Event((2,)), lipschitz=1.2)
