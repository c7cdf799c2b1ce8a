"""Chains kept with a model: each row of a draw goes on from one of its own."""

import torch
from torch import nn

from fairway.core.random import Rows
from fairway.models.energy.chains import KeepsChains


class Keeper(KeepsChains, nn.Module):
    """Points of one entry, born at 7."""

    def __init__(self, width=0):
        super().__init__()
        self._register_chains((1,), width)

    def _births(self, rows):
        return torch.full((rows.n, 1), 7.0)


def test_row_i_starts_at_a_chain_of_its_own():
    keeper = Keeper()
    keeper._keep(torch.arange(10.0).unsqueeze(1), torch.zeros(10, 0), torch.tensor(0.1))
    starts = keeper._chains(None, Rows(0, 10))
    assert sorted(starts.flatten().tolist()) == list(range(10))
    torch.testing.assert_close(keeper._chains(None, Rows(0, 3, start=4)), starts[4:7])
    torch.testing.assert_close(keeper._chains(None, Rows(0, 5, start=10)), starts[:5])


def test_without_chains_rows_are_born():
    assert Keeper()._chains(None, Rows(0, 3)).flatten().tolist() == [7.0, 7.0, 7.0]


def test_a_chain_of_the_asked_context_is_taken():
    keeper = Keeper(2)
    keeper._keep(torch.tensor([[0.0], [1.0], [0.0], [1.0]]), torch.eye(2)[[0, 1, 0, 1]], torch.tensor(0.1))
    starts = keeper._chains(torch.eye(2)[[1, 0, 1, 1, 0]], Rows(0, 5))
    assert starts.flatten().tolist() == [1, 0, 1, 1, 0]


def test_what_is_kept_is_saved_and_does_not_change_with_the_trainer_s():
    keeper, chains = Keeper(), torch.zeros(4, 1)
    keeper._keep(chains, torch.zeros(4, 0), torch.tensor(0.3))
    chains += 1
    saved = keeper.state_dict()
    assert saved["chains"].tolist() == [[0.0]] * 4 and float(saved["step_size"]) == torch.tensor(0.3)
