"""What a warm-up learns."""

import math

import torch

from fairway.samplers.adaptation import DualAveraging


def test_dual_averaging_finds_the_step_of_the_wanted_acceptance():
    """Acceptance exp(-step / c) with c per chain: the wanted 0.5 is at step = c log 2."""
    c = torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64)
    adaptation = DualAveraging(torch.full((3,), 0.3, dtype=torch.float64), 0.5)
    step = adaptation.step
    for _ in range(400):
        step = adaptation.update(torch.exp(-step / c))
    torch.testing.assert_close(adaptation.final(), c * math.log(2), rtol=0.15, atol=0)
