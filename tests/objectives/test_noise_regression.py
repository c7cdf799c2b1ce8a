"""Tables are learned in larger batches than images, unless the user says otherwise."""

import pytest
import torch

from fairway.training.fit import loop


@pytest.mark.parametrize("name", ["flow_matching", "edm", "interpolant"])
@pytest.mark.parametrize(("shape", "rows"), [((3,), 256), ((1, 4, 4), 64)])
def test_batches_of_a_fit(name, shape, rows):
    x = torch.randn(300, *shape, generator=torch.Generator().manual_seed(0))
    asked = {"steps": 1, "validation": 0.0, "hidden": (8,)}
    assert next(loop(name, x, **asked)).plan.batch_size == rows
    assert next(loop(name, x, batch_size=5, **asked)).plan.batch_size == 5
