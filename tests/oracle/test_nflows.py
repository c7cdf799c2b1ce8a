"""The same numbers as nflows, another library's flows by other hands: on its own functions, and on whole flows."""

import pytest
import torch

from fairway.models.flow.transforms.rational_quadratic import rational_quadratic
from fairway.models.flow.transforms.spline import UNIT_SLOPE

pytest.importorskip("nflows")
BOUND, BINS = 5.0, 8


@pytest.mark.parametrize("scale", [0.3, 3.0])
@pytest.mark.parametrize("inverse", [False, True])
def test_spline_is_theirs_on_equal_knots(scale, inverse):
    from nflows.transforms.splines.rational_quadratic import unconstrained_rational_quadratic_spline

    value = 3 * torch.randn(40, 7, dtype=torch.float64)
    phi = scale * torch.randn(3 * BINS - 1, 40, 7, dtype=torch.float64)
    raw = phi.movedim(0, -1).split([BINS, BINS, BINS - 1], -1)
    theirs = unconstrained_rational_quadratic_spline(
        value, raw[0], raw[1], raw[2] + UNIT_SLOPE, inverse=inverse, tail_bound=BOUND
    )
    univariate = rational_quadratic(BINS, BOUND)
    ours = (univariate.to_data if inverse else univariate.to_latent)(value, phi)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-8, rtol=1e-8)


def test_spline_has_their_gradient():
    from nflows.transforms.splines.rational_quadratic import unconstrained_rational_quadratic_spline

    value = (3 * torch.randn(40, 7, dtype=torch.float64)).requires_grad_()
    phi = torch.randn(3 * BINS - 1, 40, 7, dtype=torch.float64, requires_grad=True)
    raw = phi.movedim(0, -1).split([BINS, BINS, BINS - 1], -1)
    theirs = unconstrained_rational_quadratic_spline(value, raw[0], raw[1], raw[2] + UNIT_SLOPE, tail_bound=BOUND)
    ours = rational_quadratic(BINS, BOUND).to_latent(value, phi)
    weights = torch.randn(2, 40, 7, dtype=torch.float64)
    slopes = [torch.autograd.grad((weights * torch.stack(side)).sum(), (value, phi)) for side in (ours, theirs)]
    for mine, other in zip(*slopes, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-8, rtol=1e-8)


def test_flow_on_shared_weights_has_their_density(twins, model):
    assert twins.disagreement(model, "nflows") < 1e-9


def test_a_weight_that_differs_is_seen(twins):
    model = twins.redrawn("real_nvp", 5)
    twin = twins.nflows_twin(model)
    u = torch.randn(10, 5, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(model._log_prob(u), twin.log_prob(u))
        next(iter(model.parameters()))[0, 0] += 0.1
        assert not torch.allclose(model._log_prob(u), twin.log_prob(u))
