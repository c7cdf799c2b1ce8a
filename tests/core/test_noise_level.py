"""A noise level is one float or one for each row, within [0, 1]; anything else is told what was expected."""

import math

import pytest
import torch

from fairway.core.noise_level import noise_level

U = torch.zeros(5, 2, dtype=torch.float64)


def test_one_level_is_every_row_s_and_a_float_is_not_rounded_on_the_way():
    assert noise_level(0.1, U).tolist() == [0.1] * 5
    assert noise_level(torch.tensor(0.25), U).tolist() == [0.25] * 5
    t = torch.linspace(0, 1, 5, dtype=torch.float64)
    assert torch.equal(noise_level(t, U), t) and torch.equal(noise_level(t.numpy(), U), t)
    assert noise_level(t, U.float()).dtype == torch.float32


@pytest.mark.parametrize("t", [1, True, 500, torch.tensor(1), torch.zeros(5, dtype=torch.long)])
def test_whole_numbers_may_be_steps_and_are_refused(t):
    with pytest.raises(ValueError, match=r"expected a noise level t in \[0, 1\] as a float, got torch\.\w+; for"):
        noise_level(t, U)


@pytest.mark.parametrize(("t", "says"), [(1.5, "1.5"), (-1e-3, "-0.001"), (math.nan, "nan"), (math.inf, "inf")])
def test_levels_outside_are_refused(t, says):
    for wrong in (t, torch.tensor([0.0, 0.2, t, 1.0, t], dtype=torch.float64)):
        with pytest.raises(ValueError, match=rf"expected noise levels t in \[0, 1\].*got {says} \(and [01] more"):
            noise_level(wrong, U)


@pytest.mark.parametrize("shape", [(1,), (4,), (2,), (5, 1), (1, 5), (0,)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"one for each of the 5 rows of u, shape \(5,\); got .*: repeat or flatten"):
        noise_level(torch.full(shape, 0.5), U)


def test_nothing_is_looked_at_within_a_compiled_graph_or_a_transform():
    compiled = torch.compile(lambda t: noise_level(t, U) * 2, fullgraph=True, backend="eager")
    assert compiled(torch.tensor(0.5)).tolist() == [1.0] * 5
    each = torch.func.vmap(lambda t: noise_level(t, U))(torch.tensor([0.2, 0.4], dtype=torch.float64))
    assert each[:, 0].tolist() == [0.2, 0.4]
