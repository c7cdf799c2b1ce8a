"""What EM does where entries are missing; what it finds there is tested with EM."""

import torch

from fairway.objectives.em_gaps import patterns


def test_patterns_list_every_row_once():
    observed = torch.tensor([[1, 0], [1, 1], [1, 0], [0, 0]]).bool()
    found = patterns(observed)
    assert sorted(index.tolist() for _, index in found) == [[0, 2], [1], [3]]
    for mask, index in found:
        assert bool((observed[index] == mask).all())
