"""The two errors that a density states are those that it has."""

import math

import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.random import Rows, seeded
from fairway.models.classical.gaussian import Gaussian
from fairway.models.diffusion.density import density
from fairway.models.diffusion.mixture import MixtureDenoiser
from fairway.models.diffusion.score_sde import ScoreSDE


def drawn(mixture, n=100):
    """Rows of the mixture itself."""
    weights, means, covariances = mixture
    rows = Rows(0, n, dtype=torch.float64)
    which = torch.searchsorted(weights.cumsum(0), rows.uniform()).clamp(max=len(weights) - 1)
    return means[which] + torch.einsum("nij,nj->ni", torch.linalg.cholesky(covariances)[which], rows.normal(2))


def correlated(dims=6):
    """A Gaussian whose flow's Jacobian is far from diagonal."""
    root = torch.eye(dims, dtype=torch.float64) * 0.3 + 0.25
    one = torch.ones(1, dtype=torch.float64)
    return MixtureDenoiser(one, one.new_zeros(1, dims), (root @ root.mT)[None], schedule="vp").double()


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_error_is_below_a_ten_thousandth_of_a_nat(schedule, mixture):
    """Schedules that end in pure noise, so that nothing but the steps can be wrong; every row."""
    model, x = MixtureDenoiser(*mixture, schedule=schedule).double(), drawn(mixture)
    exact = model.log_prob_at(x, x.new_zeros(len(x)))
    found = density(model, x)
    assert float((found.value - exact).abs().max()) < 1e-4
    torch.testing.assert_close(found.value, model.log_prob(x), atol=1e-12, rtol=0)


@pytest.mark.parametrize("schedule", ["vp", "linear", "cosine", "ve"])
@pytest.mark.parametrize("steps", [8, 12, 17, 24])
def test_the_step_error_is_of_the_size_of_the_error(schedule, steps, mixture):
    model, x = MixtureDenoiser(*mixture, schedule=schedule).double(), drawn(mixture, 50)
    found, fine = density(model, x, steps=steps), density(model, x, steps=200)
    error = (found.value - fine.value).abs()
    assert 0.3 < float(found.step_error.mean() / error.mean()) < 5
    assert float((error < 10 * found.step_error + 1e-5).double().mean()) > 0.9  # both may cross zero somewhere
    assert float(fine.step_error.max()) < 1e-5


def test_the_probe_error_is_the_noise_of_the_probes():
    """500 times the same row, each with probes of its own: the spread of one estimate, and of the mean of 16."""
    model, n = correlated(), 500
    x = torch.linspace(-1, 1, 6, dtype=torch.float64).expand(n, 6)
    exact, one, many = (density(model, x[:m], probes=k, steps=12) for m, k in ((1, None), (n, 1), (n, 16)))
    noise = float(one.value.std())
    assert noise > 0.05
    assert bool(one.probe_error.isnan().all()) and float(exact.probe_error) == 0
    assert float(many.probe_error.mean()) == pytest.approx(noise / 4, rel=0.1)
    assert float(many.value.std()) == pytest.approx(noise / 4, rel=0.15)
    assert float(many.value.mean() - exact.value) == pytest.approx(0, abs=4 * noise / math.sqrt(16 * n))
    assert float(many.step_error.mean() / exact.step_error) == pytest.approx(1, abs=0.9)  # not that of the probes


def test_probes_are_a_row_s_own():
    model, x = correlated(), Rows(1, 40, dtype=torch.float64).normal(6)
    whole = density(model, x, probes=3, steps=6, generator=5)
    parts = density(model, x, probes=3, steps=6, generator=5, batch_size=7)
    for a, b in ((whole.value, parts.value), (whole.probe_error, parts.probe_error)):
        torch.testing.assert_close(a, b)
    assert not torch.allclose(whole.value, density(model, x, probes=3, steps=6, generator=6).value)
    one = density(model, x[:1], probes=3, steps=6, generator=5)
    torch.testing.assert_close(one.value, whole.value[:1])
    torch.testing.assert_close(one.step_error, whole.step_error[:1])


class Line(torch.nn.Module):
    """y = A w on flattened images."""

    def __init__(self, dims):
        super().__init__()
        self.matrix = torch.nn.Parameter(Rows(2, dims, dtype=torch.float64).normal(dims) * 0.1)

    def forward(self, u, t, context=None):
        return (u.flatten(1) @ self.matrix.mT).reshape(u.shape)


def test_exact_on_an_image():
    """dw/da = -A w over the angles of the schedule: w(a_1) = expm(-A (a_1 - a_0)) w(a_0), log-det -tr A (...)."""
    model = ScoreSDE(Event((1, 8, 8)), schedule="ve", network=Line(64)).double().eval()
    x, a = Rows(3, 5, dtype=torch.float64).normal(1, 8, 8), model.network.matrix.detach()
    angle = math.atan(50) - math.atan(0.01)
    scale = math.hypot(1, 0.01)
    end = (x.flatten(1) / scale) @ torch.linalg.matrix_exp(-a * angle).mT
    wanted = -end.square().sum(1) / 2 - 32 * math.log(2 * math.pi) - a.trace() * angle - 64 * math.log(scale)
    found = density(model, x, steps=60)
    torch.testing.assert_close(found.value, wanted, atol=1e-5, rtol=0)
    assert float(found.probe_error.abs().max()) == 0
    guess = density(model, x, probes=4, steps=60)
    assert bool(((guess.value - wanted).abs() < 8 * guess.probe_error).all())


def test_leading_dims_contexts_and_data_units():
    with seeded(0):
        model = ScoreSDE(Event((3,)), Event((), "category", levels=3), hidden=(8,)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1)
    x = 1000 + 5 * Rows(4, 12, dtype=torch.float64).normal(3)
    model.preprocess.fit(x)
    x, label = x.reshape(6, 2, 3), torch.arange(6) % 3
    found = density(model, x, label)
    assert found.value.shape == found.step_error.shape == (6, 2)
    torch.testing.assert_close(found.value, model.log_prob(x, label))


def test_what_has_no_such_density_is_refused(mixture):
    model = MixtureDenoiser(*mixture).double()
    for options in ({"steps": 1}, {"probes": 0}):
        with pytest.raises(ValueError, match="expected"):
            density(model, torch.zeros(1, 2), **options)
    counted = ScoreSDE(Event((1, 2), "integer", low=0, high=2), hidden=(8,))
    for other in (counted, Gaussian(Event((2,)))):
        with pytest.raises(CapabilityError, match="log_prob"):
            density(other, torch.zeros(1, 2))
