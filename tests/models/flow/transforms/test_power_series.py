"""Log-determinants of I + J through products alone: exact, truncated, and unbiased with an unbiased gradient."""

import torch

from fairway.core.random import Rows
from fairway.models.flow.transforms.power_series import (
    Roulette,
    exact_log_det,
    truncated_log_det,
    unbiased_log_det,
)

B, D, DRAWS = 2, 6, 40_000


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def jacobians():
    """(B, D, D) of norm 0.8."""
    j = normal(B, D, D)
    return 0.8 * j / torch.linalg.matrix_norm(j, 2)[:, None, None]


def push_of(j):
    return lambda w: torch.einsum("bij,kbj->kbi", j[: w.shape[1]], w)


def log_det(j):
    return torch.linalg.slogdet(torch.eye(D, dtype=torch.float64) + j).logabsdet


def test_exact_is_exact():
    torch.testing.assert_close(exact_log_det(push_of(jacobians()), normal(B, D)), log_det(jacobians()))


def test_truncated_is_deterministic_and_its_mean_over_probes_is_near():
    j, like = jacobians(), normal(B, D)
    many = torch.stack([truncated_log_det(push_of(j), like, seed) for seed in range(400)])
    assert torch.equal(many[3], truncated_log_det(push_of(j), like, 3))
    error = (many.mean(0) - log_det(j)).abs()
    assert bool((error < 4 * many.std(0) / 20 + 0.8**21 / 21 * D).all())


def test_unbiased_within_three_standard_errors_value_and_gradient():
    j = jacobians()[0].requires_grad_()
    value = log_det(j)
    (expected,) = torch.autograd.grad(value, j)
    each = j.detach().expand(DRAWS, D, D).clone().requires_grad_()
    roulette = Roulette.draw(Rows(0, DRAWS, dtype=torch.float64), normal(DRAWS, D))
    estimate = unbiased_log_det(push_of(each), roulette)
    (slopes,) = torch.autograd.grad(estimate.sum(), each)
    for found, wanted in ((estimate.detach(), value.detach()), (slopes, expected)):
        error = (found.mean(0) - wanted).abs() / (found.std(0) / DRAWS**0.5)
        assert float(error.square().mean().sqrt()) < 3 and float(error.max()) < 4.5  # of 36 entries the largest


def test_the_length_is_geometric_and_rows_come_longest_first():
    roulette = Roulette.draw(Rows(0, DRAWS), torch.zeros(DRAWS, 2))
    assert torch.equal(roulette.terms, roulette.terms.sort(descending=True).values)
    assert torch.equal(roulette.order.sort().values, torch.arange(DRAWS))
    for k, share in ((2, 1.0), (3, 0.5), (5, 0.125)):
        assert abs(float((roulette.terms >= k).float().mean()) - share) < 0.01
    assert set(roulette.probes.unique().tolist()) == {-1.0, 1.0}


def test_a_row_keeps_its_noise_in_a_larger_batch():
    few, many = (Roulette.draw(Rows(3, n), torch.zeros(n, 4)) for n in (10, 50))
    ranks = many.order.argsort()[:10]
    torch.testing.assert_close(many.terms[ranks], few.terms[few.order.argsort()])
    torch.testing.assert_close(many.probes[0, ranks], few.probes[0, few.order.argsort()])


def test_without_gradient_it_is_the_value_alone():
    roulette = Roulette.draw(Rows(0, B, dtype=torch.float64), normal(B, D))
    with torch.no_grad():
        bare = unbiased_log_det(push_of(jacobians()), roulette)
    torch.testing.assert_close(unbiased_log_det(push_of(jacobians().requires_grad_()), roulette).detach(), bare)
