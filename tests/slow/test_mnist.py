"""Real images: 60,000 MNIST digits at 256 grey levels, from the folder that FAIRWAY_DATA names."""

import pytest
import torch

import fairway as fw

pytestmark = pytest.mark.slow


def test_dependence_is_worth_a_tenth_of_a_bit_after_800_steps():
    """The exact masked model against independent pixels, held out; 1.45 against 1.64 bits per dimension."""
    try:
        data = fw.data.load("mnist")
    except (FileNotFoundError, ValueError) as error:
        pytest.skip(f"FAIRWAY_DATA does not hold MNIST: {error}")
    torch.set_num_threads(1)
    test = data.test.x[:1_000]
    alone = fw.evaluate(fw.fit("independent", data), test)
    together = fw.evaluate(fw.fit("made", data, steps=800, seed=0), test)
    assert together.relation == alone.relation == "equal"
    assert together.bits_per_dim < alone.bits_per_dim - 0.1
