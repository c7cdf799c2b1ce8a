"""Step by step a masked network says what it says in one pass, and looks at every weight once."""

import pytest
import torch

from fairway.networks.masked import MaskedMLP
from fairway.networks.masked_steps import MaskedSteps
from fairway.testing.subject import redraw

D, B = 5, 4
NETWORKS = {
    "plain": {"hidden": (8, 6)},
    "narrow": {"hidden": (2,)},
    "residual": {"hidden": (7, 7, 9), "residual": True, "order": [3, 1, 4, 0, 2]},
    "direct": {"hidden": (6,), "direct": True, "order": [4, 3, 2, 1, 0]},
    "none": {"hidden": (), "act": "relu"},
}


@pytest.mark.parametrize("features", [1, 2])
@pytest.mark.parametrize("context", [0, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_steps_are_one_pass(name, context, features):
    network = MaskedMLP(D, outputs=2, context=context, features=features, **{"act": "relu", **NETWORKS[name]}).double()
    redraw(network)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(D * features, B, generator=generator, dtype=torch.float64)
    c = torch.randn(B, context, generator=generator, dtype=torch.float64) if context else None
    with torch.no_grad():
        whole = network.columns(x, c)
        torch.testing.assert_close(whole, network(x.T, c).permute(2, 1, 0))
    steps, known = MaskedSteps(network, B, c), None
    for i in network.order:
        torch.testing.assert_close(steps.step(known), whole[:, i])
        known = x[i * features : (i + 1) * features]


def test_steps_do_not_touch_the_network():
    network = MaskedMLP(D, act="relu").double()
    before = [p.clone() for p in network.parameters()]
    steps = network.init_state(B)
    for i in range(D):
        out = steps.step(None if i == 0 else torch.ones(1, B, dtype=torch.float64))
    assert not out.requires_grad
    assert all(torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
