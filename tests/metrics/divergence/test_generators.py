"""Each entry of the table is its textbook f, with its limits, in a form that does not overflow."""

import math

import pytest
import torch

from fairway.metrics.divergence.generators import F_DIVERGENCES, FDivergence, generator_of, needed

TEXTBOOK = {
    "kl": lambda t: t * t.log(),
    "reverse_kl": lambda t: -t.log(),
    "jeffreys": lambda t: (t - 1) * t.log(),
    "jensen_shannon": lambda t: (t * (2 * t / (1 + t)).log() + (2 / (1 + t)).log()) / 2,
    "total_variation": lambda t: (t - 1).abs() / 2,
    "squared_hellinger": lambda t: 1 - t.sqrt() + (t - 1) / 2,
    "pearson": lambda t: (t - 1) ** 2,
    "neyman": lambda t: (t - 1) ** 2 / t,
}


def test_every_entry_has_its_textbook_form():
    assert set(TEXTBOOK) == set(F_DIVERGENCES)


@pytest.mark.parametrize("name", list(TEXTBOOK))
def test_both_forms_are_f(name):
    law, r = F_DIVERGENCES[name], torch.linspace(-4, 4, 41, dtype=torch.float64)
    t = r.exp()
    torch.testing.assert_close(law.per_q(r), TEXTBOOK[name](t), rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(law.per_p(r), TEXTBOOK[name](t) / t, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("name", list(TEXTBOOK))
def test_the_limits_are_where_f_goes(name):
    law = F_DIVERGENCES[name]
    far = torch.tensor(600.0).double()
    for limit, reached in [(law.at_zero, law.per_q(-far)), (law.slope, law.per_p(far))]:
        assert reached > 500 if math.isinf(limit) else abs(float(reached) - limit) < 1e-12


def test_equal_laws_are_at_exactly_zero():
    nothing = torch.zeros(3, dtype=torch.float64)
    assert all(not law.per_q(nothing).any() and not law.per_p(nothing).any() for law in F_DIVERGENCES.values())


def test_terms_of_p_stay_finite_at_any_ratio_where_the_divergence_is_bounded():
    r = torch.tensor([-400.0, -20, 0, 20, 400, math.inf]).double()
    for name, most in [("total_variation", 1), ("jensen_shannon", math.log(2)), ("squared_hellinger", 1)]:
        terms = F_DIVERGENCES[name].from_p(r)
        assert terms[-1] == pytest.approx(most) and terms[2] == 0 and bool(torch.isfinite(terms).all())


def test_a_function_without_limits_says_what_it_needs():
    law = generator_of(lambda t: (t - 1) ** 2)
    with pytest.raises(ValueError, match="slope"):
        law.from_p(torch.tensor([math.inf]))
    with pytest.raises(ValueError, match="at_zero"):
        needed(law.at_zero, "f(0), `at_zero`")


def test_what_is_no_f_divergence_is_refused():
    with pytest.raises(ValueError, match=r"f\(1\) = 0, got 1"):
        generator_of(lambda t: t**2)
    with pytest.raises(ValueError, match="among kl, reverse_kl"):
        generator_of("wasserstein")
    assert isinstance(generator_of("kl"), FDivergence)
