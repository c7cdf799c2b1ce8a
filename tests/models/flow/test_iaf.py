"""IAF is MAF the other way round: draws in one parallel pass."""

import torch

from fairway.core.event import Event
from fairway.models.flow.iaf import IAF
from fairway.models.flow.maf import MAF
from fairway.models.flow.transforms.transform import Inverse
from fairway.testing.subject import redraw


def test_it_is_maf_fast_in_draws():
    one, other = IAF(Event((3,)), hidden=(8,)).double(), MAF(Event((3,)), hidden=(8,), fast="sample").double()
    redraw(one)
    redraw(other)
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(one.eval().log_prob(x), other.eval().log_prob(x))
    assert all(isinstance(link, Inverse) for link in one.transform.links)


def test_a_draw_asks_its_networks_once(monkeypatch):
    flow, calls = IAF(Event((6,)), transforms=3, hidden=(8,)), []
    for link in flow.transform.links:
        network = link.transform.network
        monkeypatch.setattr(network, "columns", lambda *a, own=network.columns: calls.append(1) or own(*a))
        monkeypatch.setattr(network, "init_state", lambda *a: calls.append(100))
    flow.sample_and_log_prob(4, generator=0)
    assert len(calls) == 3
