"""Modes: shares, switches, and chains that sit in one."""

import pytest
import torch

from fairway.samplers.diagnostics import modes

CENTRES = torch.tensor([[-4.0, 0.0], [4.0, 0.0], [0.0, 9.0]])


def test_shares_switches_and_disagreement_by_hand():
    labels = torch.tensor([[0, 0], [1, 0], [1, 0], [0, 0]])  # (draws, chains)
    found = modes(CENTRES[labels] + 0.3, CENTRES)
    torch.testing.assert_close(found.labels, labels)
    assert found.shares.tolist() == [[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]
    assert found.switches.tolist() == [2, 0] and found.stuck.tolist() == [False, True]
    assert found.pooled.tolist() == [0.75, 0.25, 0.0]
    assert found.disagreement.tolist() == [0.25, 0.25]
    assert found.total_variation([2, 1, 1]) == pytest.approx(0.25)


def test_a_stuck_chain_shows_where_chains_that_mix_do_not():
    generator = torch.Generator().manual_seed(0)
    mixed = torch.randint(0, 3, (600, 6), generator=generator)
    stuck = torch.arange(6).remainder(3).expand(600, 6)
    good, bad = (modes(CENTRES[labels], CENTRES) for labels in (mixed, stuck))
    assert good.disagreement.max() < 0.08 and not good.stuck.any()
    assert bad.disagreement.min() == pytest.approx(2 / 3) and bad.stuck.all()
    assert bad.total_variation([1, 1, 1]) < 1e-6  # right shares, from where the chains began
    assert "6 stuck in one mode" in str(bad) and "3 of 3 modes visited" in str(bad)


def test_a_function_may_label_the_draws():
    x = torch.tensor([[-1.0, 1.0], [2.0, 3.0]])
    found = modes(x, lambda u: (u > 0).long())
    assert found.labels.tolist() == [[0, 1], [1, 1]]


def test_what_does_not_fit_is_refused():
    x = torch.zeros(5, 2, 2)
    with pytest.raises(ValueError, match="centres"):
        modes(x, torch.zeros(3, 4))
    with pytest.raises(ValueError, match="finite"):
        modes(x / 0, CENTRES)
    with pytest.raises(ValueError, match="labels"):
        modes(x, lambda u: torch.zeros(3))
    with pytest.raises(ValueError, match="weights"):
        modes(x, CENTRES).total_variation([1, 2])
