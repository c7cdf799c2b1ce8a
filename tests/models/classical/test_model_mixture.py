"""A mixture of models is the sum of their densities, in data units, and a bound where they have bounds."""

import math

import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.random import Rows, seeded
from fairway.models.classical.gaussian import Gaussian
from fairway.models.classical.histogram import Independent
from fairway.models.classical.model_mixture import BoundMixture, ModelMixture, mixture_of
from fairway.models.energy.energy import EBM
from fairway.models.latent.vae import VAE
from fairway.training.fit import fit

SHARES = torch.tensor([0.2, 0.8], dtype=torch.float64)


def rows(n, centre, scale, seed):
    return centre + scale * Rows(seed, n, dtype=torch.float64).normal(2)


@pytest.fixture(scope="module")
def apart():
    """Two models trained apart, on data of other places and scales."""
    return fit("gaussian", rows(500, -3.0, 0.5, 0)), fit("gmm", rows(500, 1000.0, 40.0, 1), components=2)


def test_its_density_is_the_weighted_sum_of_densities(apart):
    mixture = ModelMixture.of(apart, shares=(1, 4))
    x = torch.cat([rows(20, -3.0, 0.5, 2), rows(20, 1000.0, 40.0, 3), rows(5, 300.0, 1.0, 4)])
    parts = torch.stack([m.log_prob(x) for m in apart], 1) + SHARES.log()
    torch.testing.assert_close(mixture.log_prob(x), parts.logsumexp(1), rtol=1e-6, atol=1e-5)
    torch.testing.assert_close(mixture.responsibilities(x), parts.softmax(1), rtol=1e-5, atol=1e-6)


def test_draws_come_from_the_components_by_their_shares(apart):
    draws = ModelMixture.of(apart, shares=(1, 4)).sample(4000, generator=0)
    first = draws[:, 0] < 100
    assert float(first.double().mean()) == pytest.approx(0.2, abs=0.03)
    for part, centre, scale in ((draws[first], -3.0, 0.5), (draws[~first], 1000.0, 40.0)):
        assert float((part.mean(0) - centre).abs().max()) < 0.15 * scale
        assert float((part.std(0) / scale - 1).abs().max()) < 0.1


def test_counted_data_are_added_as_probabilities_or_as_bounds():
    event, x = Event((2,), "integer", low=0, high=3), Rows(0, 300).integers(4, 2)
    exact = [fit("independent", x[:100]), fit("independent", (x[100:] * 2).clamp(max=3))]
    mixture = mixture_of(exact)
    every = torch.cartesian_prod(torch.arange(4), torch.arange(4))
    parts = torch.stack([m.log_prob(every) for m in exact])
    torch.testing.assert_close(mixture.log_prob(every), (parts.logsumexp(0) - math.log(2)), rtol=1e-5, atol=1e-5)
    dequantised = ModelMixture(event, models=("gaussian", "gmm"))
    assert "log_prob" not in dequantised.capabilities and "bound" in dequantised.capabilities
    with pytest.raises(CapabilityError, match="bound"):
        dequantised.log_prob(x)


def test_of_bounds_it_is_a_bound_whatever_the_noise():
    """Against the mixture's exact density, where the components have one and only show a noisy bound of it."""

    class Noisy(Gaussian):
        def _log_prob_drawn(self, u, context, rows):
            noise = 0.7 * rows.normal()
            return self._log_prob(u, context) + noise - 0.1

    event = Event((2,))
    with seeded(0):
        one, other = Noisy(event).double().eval(), Noisy(event).double().eval()
    other.means.data.fill_(0.5)
    x = Rows(1, 50, dtype=torch.float64).normal(2)
    exact = ModelMixture.of([one, other], shares=(1, 2)).log_prob(x)
    bound = BoundMixture.of([one, other], shares=(1, 2)).bound(x, samples=400, generator=0)
    assert bool((bound < exact).all())
    assert float((exact - bound).max()) < 0.6


def test_tight_bounds_make_it_tight():
    event = Event((2,))
    with seeded(0):
        models = [Gaussian(event).double().eval() for _ in range(2)]
    x = Rows(1, 50, dtype=torch.float64).normal(2)
    exact, bound = ModelMixture.of(models).log_prob(x), BoundMixture.of(models).bound(x, generator=0)
    torch.testing.assert_close(bound, exact, rtol=1e-9, atol=1e-9)


def test_the_kind_of_mixture_follows_from_the_components():
    real, counted = Event((2,)), Event((2,), "binary")
    with seeded(0):
        assert type(mixture_of([Gaussian(real), Gaussian(real)])) is ModelMixture
        assert type(mixture_of([Gaussian(real), VAE(real)])) is BoundMixture
        mixed = mixture_of([VAE(counted), Gaussian(counted), Independent(counted)])
    assert type(mixed) is BoundMixture
    draws = mixed.sample(30, generator=0)
    assert draws.shape == (30, 2) and set(draws.unique().tolist()) <= {0, 1}
    assert bool(mixed.bound(draws, generator=0).isfinite().all())


def test_fitting_finds_components_and_shares():
    side = (Rows(0, 600).uniform() < 0.25).double().unsqueeze(1)
    x = 50 + 8 * side + Rows(1, 600, dtype=torch.float64).normal(1)
    with seeded(3):
        model = ModelMixture(Event((1,)), models=("gaussian", "gaussian"))
    for k, sign in enumerate((-1, 1)):
        model.models[k].means.data.fill_(float(sign))
    model.fit(x, steps=300, lr=2e-2, validation=0, seed=0, progress=False)
    assert float(model.log_weights.detach().exp()[1]) == pytest.approx(0.25, abs=0.05)
    means = sorted(float(m.sample(500, generator=0).mean()) for m in model.models)
    assert means == pytest.approx([50, 58], abs=0.5)


def test_models_without_a_density_are_refused():
    with pytest.raises(ValueError, match="bound_mixture"):
        ModelMixture(Event((2,)), models=("vae",))
    with pytest.raises(ValueError, match="a density or a bound"):
        BoundMixture(Event((2,)), models=(EBM(Event((2,))),))
    with pytest.raises(ValueError, match="shares >= 0"):
        ModelMixture(Event((2,)), models=("gaussian", "gaussian"), shares=(1, -1))
