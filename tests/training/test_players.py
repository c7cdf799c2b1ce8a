"""Who moves, and how."""

import copy

from torch import nn

from fairway.core.objective import Optimisation, Phase
from fairway.objectives.adversarial import Adversarial
from fairway.objectives.mle import MLE
from fairway.training.players import counterpart, drops, how, movers


class Two(MLE):
    """A second player that no phase may name."""

    optimisation = Optimisation(lr=0.5)

    def players(self, model):
        return {"model": model, "critic": nn.Linear(2, 1)}


def test_only_players_of_a_phase_get_an_optimiser(flow):
    assert set(movers(flow, Two(), [Phase(), Phase()])) == {"model"}
    assert list(movers(flow, Two(), [Phase("critic"), Phase()])) == ["critic", "model"]


def test_the_model_s_own_habit_comes_first_and_a_rate_before_both(flow):
    flow.optimisation = Optimisation(lr=0.1, clip=None)
    assert how(flow, Two(), "model").lr == 0.1 and how(flow, Two(), "critic").lr == 0.5
    assert how(flow, Two(), "model", lr=0.2) == Optimisation(lr=0.2, clip=None)
    assert how(flow, Adversarial(), "critic", lr=0.2).lr == 0.2


def test_a_part_moves_in_the_model_s_place(flow):
    part = flow.transform
    (mover,) = movers(flow, MLE(), [Phase()], part).values()
    assert mover.parameters == list(part.parameters())


def test_a_part_has_a_counterpart_in_a_copy(flow):
    twin = copy.deepcopy(flow)
    assert counterpart(flow.transform, flow, twin) is twin.transform
    assert counterpart(None, flow, twin) is None


def test_dropout_that_never_drops_draws_nothing():
    assert drops(nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.1)))
    assert not drops(nn.Sequential(nn.Linear(1, 1), nn.Dropout(0.0)))
