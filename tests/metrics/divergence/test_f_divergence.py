"""f-divergences against scipy, quadrature and what zeros must give."""

import math

import pytest
import torch
from scipy.integrate import quad
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy, norm

from fairway.metrics.divergence.f_divergence import f_divergence, f_divergence_of_densities, kl, lower_bound
from fairway.metrics.divergence.generators import F_DIVERGENCES, FDivergence

P, Q = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.4, 0.1]], dtype=torch.float64)
FINITE = ["kl", "jensen_shannon", "total_variation", "squared_hellinger", "pearson"]


def test_tables_are_scipys():
    assert f_divergence(P, Q).value == pytest.approx(entropy(P, Q), rel=1e-12)
    assert f_divergence(P, Q, "reverse_kl").value == pytest.approx(entropy(Q, P), rel=1e-12)
    assert f_divergence(P, Q, "jensen_shannon").value == pytest.approx(jensenshannon(P, Q) ** 2, rel=1e-12)
    assert f_divergence(P, Q, "total_variation").value == pytest.approx(float((P - Q).abs().sum()) / 2, rel=1e-12)
    assert f_divergence(P, Q, "pearson").value == pytest.approx(float(((P - Q) ** 2 / Q).sum()), rel=1e-12)
    assert f_divergence(P, Q, "neyman").value == pytest.approx(float(((P - Q) ** 2 / P).sum()), rel=1e-12)
    assert f_divergence(P, Q, "squared_hellinger").value == pytest.approx(1 - float((P * Q).sqrt().sum()), rel=1e-12)
    assert f_divergence(P, Q, "jeffreys").value == pytest.approx(entropy(P, Q) + entropy(Q, P), rel=1e-12)


def test_zeros_cost_what_the_limits_say():
    p, q = [0.5, 0.5, 0, 0], [0, 0.25, 0.75, 0]
    expected = {"kl": math.inf, "reverse_kl": math.inf, "jeffreys": math.inf, "pearson": math.inf, "neyman": math.inf}
    expected |= {"total_variation": 0.75, "squared_hellinger": 1 - math.sqrt(0.125)}
    expected["jensen_shannon"] = jensenshannon(p, q) ** 2
    assert set(expected) == set(F_DIVERGENCES)
    for name, value in expected.items():
        assert f_divergence(p, q, name).value == pytest.approx(value), name
    inside = [0.5, 0.5, 0], [0.25, 0.25, 0.5]  # P within Q: only the reverse is infinite
    assert f_divergence(*inside).value == pytest.approx(math.log(2))
    assert f_divergence(*inside, "reverse_kl").value == math.inf


@pytest.mark.parametrize("name", list(F_DIVERGENCES))
def test_equal_tables_are_at_zero_and_reversing_swaps_the_tables(name):
    assert f_divergence(P, P, name).value == 0
    there = f_divergence(P, Q, F_DIVERGENCES[name].reversed()).value
    assert there == pytest.approx(f_divergence(Q, P, name).value, rel=1e-12)


def test_ratios_beyond_the_range_of_floats_do_not_overflow():
    p, q = torch.tensor([[1.0, 0.0], [1e-307, 1.0]], dtype=torch.float64)
    assert f_divergence(p, q).value == pytest.approx(-math.log(1e-307))
    assert f_divergence(p, q, "total_variation").value == pytest.approx(1)


def test_any_function_of_the_ratio_and_any_shape_will_do():
    cube = f_divergence(P.reshape(2, 2), Q.reshape(2, 2), lambda t: t**3 - 1)
    assert cube.value == pytest.approx(float((P**3 / Q**2).sum()) - 1) and cube.method == "exact"
    with pytest.raises(ValueError, match="slope"):
        f_divergence([0.5, 0.5], [1, 0], lambda t: t**3 - 1)
    full = FDivergence(lambda r: r.exp() ** 2 - 1, lambda r: r.exp() - torch.exp(-r), -1.0, math.inf)
    assert f_divergence([0.5, 0.5], [1, 0], full).value == math.inf


@pytest.mark.parametrize("name", list(F_DIVERGENCES))
def test_densities_by_monte_carlo_are_within_their_error_of_quadrature(name):
    p, q = norm(0, 1), norm(0.5, 0.8)
    expected, _ = quad(
        lambda x: q.pdf(x) * float(F_DIVERGENCES[name].per_q(torch.tensor(p.logpdf(x) - q.logpdf(x)))), -9, 9
    )
    x = torch.randn(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = f_divergence_of_densities(torch.tensor(p.logpdf(x)), lambda rows: torch.tensor(q.logpdf(rows)), x, name)
    assert abs(found.value - expected) < 3.5 * found.standard_error < 0.4 * expected
    assert (found.method, found.relation, found.n) == ("estimate", "equal", (20_000,))


def test_the_standard_error_covers():
    generator = torch.Generator().manual_seed(0)
    z = []
    for _ in range(300):
        x = torch.randn(200, generator=generator, dtype=torch.float64)
        found = kl(-(x**2) / 2, -((x - 0.3) ** 2) / 2, x)
        z.append((found.value - 0.045) / found.standard_error)
    assert float(torch.tensor(z).std()) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(
    ("name", "most"), [("total_variation", 1.0), ("jensen_shannon", math.log(2)), ("kl", math.inf)]
)
def test_rows_of_p_see_disjoint_laws(name, most):
    x = torch.rand(50)
    found = f_divergence_of_densities(torch.zeros(50), torch.full((50,), -math.inf), x, name)
    assert found.value == pytest.approx(most)


def test_rows_of_p_account_for_mass_that_p_lacks():
    x = torch.rand(4000, generator=torch.Generator().manual_seed(0))  # P = U(0, 1), Q = U(0, 2)
    for name, value in [("total_variation", 0.5), ("squared_hellinger", 1 - math.sqrt(0.5))]:
        found = f_divergence_of_densities(torch.zeros(4000), torch.full((4000,), -math.log(2)), x, name)
        assert found.value == pytest.approx(value)


@pytest.mark.parametrize("name", FINITE)
def test_no_guess_of_the_ratio_exceeds_the_divergence_and_the_true_one_reaches_it(name):
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(20_000, generator=generator).double() + shift for shift in (0.0, 1.0))
    # log N(u; 0, 1) - log N(u; 1, 1) = 1/2 - u
    expected, _ = quad(lambda u: norm(1).pdf(u) * float(F_DIVERGENCES[name].per_q(torch.tensor(0.5 - u))), -12, 12)
    best = lower_bound(0.5 - x, 0.5 - y, name)
    assert abs(best.value - expected) < 4 * best.standard_error and best.relation == "lower"
    for guess in (lambda u: 0.3 - 0.5 * u, lambda u: 0 * u, lambda u: u - 0.5):
        worse = lower_bound(guess(x), guess(y), name)
        assert worse.value < best.value + 1e-9
    assert lower_bound(0 * x, 0 * y, name).value == pytest.approx(0, abs=1e-12)


def test_what_is_no_table_or_density_is_refused():
    with pytest.raises(ValueError, match="sum to 1"):
        f_divergence([0.5, 0.6], [0.5, 0.5])
    with pytest.raises(ValueError, match="none below 0"):
        f_divergence([1.5, -0.5], [0.5, 0.5])
    with pytest.raises(ValueError, match="of one shape"):
        f_divergence([1.0], [0.5, 0.5])
    with pytest.raises(ValueError, match="one per row"):
        kl(torch.zeros(3, 2), torch.zeros(3), torch.zeros(3))
    with pytest.raises(ValueError, match="at least two"):
        kl(torch.zeros(1), torch.zeros(1), torch.zeros(1))
    with pytest.raises(ValueError, match="log_p is -inf"):
        kl(torch.tensor([0.0, -math.inf]), torch.zeros(2), torch.zeros(2))
    with pytest.raises(ValueError, match="got NaN"):
        kl(torch.tensor([0.0, math.nan]), torch.zeros(2), torch.zeros(2))
