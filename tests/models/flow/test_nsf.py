"""NSF: splines draw what affine maps cannot, in both kinds and every mixing."""

import pytest
import torch

from fairway.core.event import Event
from fairway.models.flow.nsf import NSF
from fairway.models.flow.transforms.autoregressive import Autoregressive
from fairway.models.flow.transforms.linear import Linear
from fairway.testing.latents import log_abs_det
from fairway.testing.subject import redraw


def rows(n, dims, scale=1.0, seed=0):
    return scale * torch.randn(n, dims, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("mixing", ["linear", "shuffle", "halves"])
@pytest.mark.parametrize("kind", ["coupling", "autoregressive"])
def test_it_is_a_bijection_inside_and_outside_of_the_box(kind, mixing):
    flow = NSF(Event((4,)), transforms=3, hidden=(8,), bins=5, kind=kind, mixing=mixing).double().eval()
    redraw(flow)
    x = rows(40, 4, 2.5)
    torch.testing.assert_close(flow.decode(flow.encode(x)), x, rtol=1e-9, atol=1e-9)
    expected = flow._log_base(flow.encode(x)) + log_abs_det(lambda u: flow._encode(u), x)
    torch.testing.assert_close(flow.log_prob(x), expected, rtol=1e-8, atol=1e-8)


def test_one_spline_holds_two_modes():
    """An affine map of a normal has one mode: the density at the middle of two clumps stays high."""
    sign = rows(4000, 1).sign()
    x = torch.cat([2 * sign + 0.3 * rows(4000, 1, seed=1), rows(4000, 1, seed=2)], 1)
    flow = NSF(Event((2,)), transforms=1, kind="autoregressive", hidden=(16,))
    flow.fit(x, steps=600, lr=2e-2, seed=0, progress=False)
    middle, mode = flow.log_prob(torch.tensor([[0.0, 0.0], [2.0, 0.0]]))
    assert float(mode - middle) > 4


def test_kinds_and_mixings_build_what_they_say():
    coupling = NSF(Event((4,)), transforms=3, hidden=(4,)).transform.links
    assert [type(link) is Linear for link in coupling] == [False, True, False, True, False]
    assert all(isinstance(link, Autoregressive) for link in NSF(Event((1,)), kind="autoregressive").transform.links)


def test_wrong_kinds_and_single_entries_are_refused():
    with pytest.raises(ValueError, match="coupling, autoregressive"):
        NSF(Event((2,)), kind="residual")
    with pytest.raises(ValueError, match="at least 2"):
        NSF(Event((1,)))
