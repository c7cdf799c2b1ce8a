"""MAF and IAF are one map taken both ways; orders turn round; draws and their densities agree."""

import pytest
import torch

from fairway.core.event import Event
from fairway.models.flow.maf import MAF, orders_of
from fairway.testing.latents import log_abs_det
from fairway.testing.subject import redraw


def build(**options):
    flow = MAF(Event((4,)), transforms=2, hidden=(9,), **options).double().eval()
    redraw(flow)
    return flow


def rows(n, dims=4, seed=0):
    return torch.randn(n, dims, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_fast_in_density_and_fast_in_draws_are_inverse_to_one_another():
    density, draws = build(fast="density"), build(fast="sample")
    u = rows(5)
    z = u
    for link in density.transform.links:
        z = link.to_latent(z)[0]
    for link in reversed(draws.transform.links):  # the same weights, the other way round
        u = link.to_data(u)[0]
    chained = rows(5)
    for link in reversed(list(density.transform.links)):
        chained = link.to_latent(chained)[0]
    torch.testing.assert_close(u, chained)
    assert not torch.allclose(z, rows(5))


@pytest.mark.parametrize("fast", ["density", "sample"])
def test_the_density_is_the_change_of_variables_and_draws_know_theirs(fast):
    flow = build(fast=fast, ordering="random")
    x = rows(6)
    z = flow.encode(x)
    expected = flow._log_base(z) + log_abs_det(lambda u: flow._encode(u), x)
    torch.testing.assert_close(flow.log_prob(x), expected, rtol=1e-8, atol=1e-8)
    drawn, log_prob = flow.sample_and_log_prob(5, generator=0)
    torch.testing.assert_close(log_prob, flow.log_prob(drawn), rtol=1e-8, atol=1e-8)


def test_one_map_has_a_triangular_jacobian_in_its_order():
    flow = build(ordering="random")
    for link, order in zip(flow.transform.links, orders_of(4, 2, "random"), strict=True):
        matrix = torch.autograd.functional.jacobian(lambda u, link=link: link.to_latent(u)[0].sum(0), rows(20))
        ranked = matrix.abs().sum(1)[order][:, order]
        assert torch.equal(ranked.triu(1), torch.zeros(4, 4, dtype=torch.float64))
        assert int((ranked > 0).sum()) == 4 * 5 // 2


def test_orders_turn_round_or_are_random_and_fixed():
    assert orders_of(3, 3, "reverse") == [[0, 1, 2], [2, 1, 0], [0, 1, 2]]
    assert orders_of(9, 3, "random") == orders_of(9, 3, "random") != orders_of(9, 3, "reverse")


@pytest.mark.parametrize("context", [None, Event((2,))])
def test_it_starts_as_the_identity_whatever_the_context(context):
    flow, x = MAF(Event((3,)), context, hidden=(8,)).double().eval(), rows(6, 3)
    torch.testing.assert_close(flow.encode(x, None if context is None else rows(6, 2, 1)), x)


def test_a_single_entry_is_allowed():
    flow = MAF(Event((1,)), Event((2,)), transforms=2, hidden=(8,)).double().eval()
    redraw(flow)
    x, c = rows(5, 1), rows(5, 2, 1)
    torch.testing.assert_close(flow.decode(flow.encode(x, c), c), x)
    assert float((flow.log_prob(x, c) - flow.log_prob(x, -c)).abs().min()) > 0


def test_reverse_kl_trains_it_through_the_slow_direction():
    flow = build().train().requires_grad_(True)

    def reverse_kl():
        x, log_prob = flow.sample_and_log_prob(256, generator=0)
        return (log_prob + 0.5 * x.square().sum(1)).mean()

    before, optimiser = float(reverse_kl().detach()), torch.optim.Adam(flow.parameters(), 0.02)
    for _ in range(30):
        optimiser.zero_grad()
        reverse_kl().backward()
        optimiser.step()
    assert float(reverse_kl().detach()) < before - 0.3


@pytest.mark.parametrize("wrong", [{"fast": "both"}, {"ordering": "sorted"}])
def test_unknown_options_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        build(**wrong)
