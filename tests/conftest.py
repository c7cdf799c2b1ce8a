"""Every test starts from the same global generator, on one thread: a figure that a test saw is seen again."""

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _same_start():
    torch.manual_seed(0)
