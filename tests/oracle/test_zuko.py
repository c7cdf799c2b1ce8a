"""The same numbers as zuko, another library's flows by other hands: on its own functions, and on whole flows."""

import pytest
import torch

from fairway.models.flow.transforms.rational_quadratic import rational_quadratic
from fairway.models.flow.transforms.univariate import affine

pytest.importorskip("zuko")
BOUND, BINS = 5.0, 8


@pytest.mark.parametrize("direction", ["to_latent", "to_data"])
def test_spline_is_theirs_on_equal_knots(twins, direction):
    from zuko.transforms import MonotonicRQSTransform

    value, phi = 3 * torch.randn(40, 7, dtype=torch.float64), torch.randn(3 * BINS - 1, 40, 7, dtype=torch.float64)
    raw = twins.to_zuko_spline(*phi.movedim(0, -1).split([BINS, BINS, BINS - 1], -1))
    theirs = MonotonicRQSTransform(*raw, bound=BOUND)
    theirs = theirs if direction == "to_latent" else theirs.inv
    ours = getattr(rational_quadratic(BINS, BOUND), direction)(value, phi)
    for mine, other in zip(ours, theirs.call_and_ladj(value), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("direction", ["to_latent", "to_data"])
def test_affine_map_is_theirs(twins, direction):
    from zuko.transforms import MonotonicAffineTransform

    value, (raw, shift) = torch.randn(40, 7, dtype=torch.float64), 3 * torch.randn(2, 40, 7, dtype=torch.float64)
    theirs = MonotonicAffineTransform(*twins.to_zuko_affine(shift, raw))
    theirs = theirs if direction == "to_latent" else theirs.inv
    ours = getattr(affine, direction)(value, torch.stack([raw, shift]))
    for mine, other in zip(ours, theirs.call_and_ladj(value), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-10, rtol=1e-10)


def test_flow_on_shared_weights_has_their_density(twins, model):
    assert twins.disagreement(model, "zuko") < 1e-9


def test_draws_of_one_noise_are_theirs(twins, model):
    z = torch.randn(40, model.dims, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(model.decode(z), twins.zuko_twin(model).transform.inv(z), atol=1e-8, rtol=1e-8)
