"""The regression's minimiser is the marginal velocity; its value there is the known conditional variance."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows
from fairway.models.diffusion.flow_matching import FlowMatching
from fairway.objectives.flow_matching import ConditionalFlowMatching, path


class Line(torch.nn.Module):
    """The exact velocity of data N(0, 1) on the straight line, times `scale`."""

    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, u, t, context=None):
        t = t.unsqueeze(1)
        return self.scale * u * (2 * t - 1) / ((1 - t) ** 2 + t**2)


def loss_of(scale, n=20_000, times="uniform"):
    model = FlowMatching(Event((1,)), network=Line(scale)).double()
    rows = Rows(0, n, dtype=torch.float64)
    return float(ConditionalFlowMatching(times).loss(Batch(rows.normal(1)), model, phase=Phase(), generator=rows).total)


def test_value_at_the_minimiser():
    """Var(eps - u_0 | u_t) = 1 / ((1 - t)^2 + t^2), whose mean over t in [0, 1] is pi / 2."""
    assert loss_of(1.0) == pytest.approx(torch.pi / 2, rel=0.02)


@pytest.mark.parametrize("times", ["uniform", "logit_normal", "wide_normal"])
def test_the_velocity_of_the_marginal_path_is_the_minimiser(times):
    assert loss_of(1.0, times=times) < min(loss_of(0.9, times=times), loss_of(1.1, times=times))


def test_the_straight_path_starts_at_data_and_ends_in_noise():
    u, eps = Rows(0, 3).normal(2), Rows(1, 3).normal(2)
    for model in (object(), FlowMatching(Event((2,)), network=Line(1.0))):
        for t, end in ((0.0, u), (1.0, eps)):
            point, slope = path(model, u, eps, torch.full((3,), t))
            torch.testing.assert_close(point, end)
            torch.testing.assert_close(slope, eps - u)


def test_weights_weigh_rows():
    model = FlowMatching(Event((1,)), network=Line(1.0))
    u, weight = torch.cat([torch.zeros(50, 1), torch.full((50, 1), 9.0)]), torch.cat([torch.ones(50), torch.zeros(50)])
    objective, rows = ConditionalFlowMatching(), Rows(0, 100)
    weighted = objective.loss(Batch(u, weight=weight), model, phase=Phase(), generator=rows).total
    plain = objective.loss(Batch(u[:50]), model, phase=Phase(), generator=Rows(0, 50)).total
    torch.testing.assert_close(weighted, plain)


def test_unknown_laws_of_time_are_refused():
    with pytest.raises(ValueError, match="logit_normal"):
        ConditionalFlowMatching("normal")
