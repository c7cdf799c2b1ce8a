"""A map from one set of points to another: it carries the source, has a density, and survives a file."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.models.diffusion.interpolant import Interpolant
from fairway.samplers.ode import ProbabilityFlow
from fairway.training.fit import fit
from fairway.training.run_folder import load


def clusters(n, seed, centres, scale=0.5):
    rows = Rows(seed, n)
    which = rows.integers(len(centres))
    return torch.tensor(centres)[which] + scale * rows.normal(2), which


LEFT, RIGHT = [[-4.0, 8.0], [-4.0, -8.0]], [[2.0, 10.0], [6.0, -10.0]]


@pytest.fixture(scope="module")
def model():
    """Left to right, in units that are not the model's own: each cluster to the one at its height."""
    return fit(
        "interpolant", clusters(2000, 0, RIGHT)[0], source=clusters(2000, 1, LEFT)[0], hidden=(48, 48), steps=500,
        coupling="optimal_transport", times="uniform", batch_size=128, lr=5e-3, validation=0, seed=0, compile="off",
    )  # fmt: skip


def test_points_of_the_source_become_data(model):
    start, which = clusters(400, 7, LEFT)
    end = model.sample(400, init=start)
    torch.testing.assert_close(end, model.sample(400, init=start, generator=3))
    for k in range(2):  # pairs of a batch whose clusters are not of one size cross: medians, not means
        arrived = end[which == k]
        torch.testing.assert_close(arrived.median(0).values, torch.tensor(RIGHT[k]), atol=0.3, rtol=0)
        quartiles = arrived.quantile(torch.tensor([0.25, 0.75]), dim=0)
        torch.testing.assert_close(quartiles.diff(dim=0)[0], torch.full((2,), 0.675), atol=0.25, rtol=0)


def test_draws_start_at_points_of_the_source(model):
    draws = model.draw(500, sampler=ProbabilityFlow(8), trace=True, generator=0)
    start, source = draws.trace[0], model._to_model(model.source)[0]
    assert float(torch.cdist(start, source).min(1).values.max()) < 4 * model.bandwidth
    near = torch.cdist(draws.samples, torch.tensor(RIGHT)).min(1).values < 2
    assert float(near.float().mean()) > 0.85


def test_density_of_the_base_is_the_kernel_s():
    """Against torch's own mixture, and against the histogram of its own draws."""
    source = clusters(5, 3, LEFT)[0].double()
    model = Interpolant(Event((2,)), source=source, bandwidth=0.4, hidden=(8,)).double()
    u = Rows(0, 50, dtype=torch.float64).normal(2) * 3
    each = torch.distributions.Independent(torch.distributions.Normal(source, 0.4), 1)
    mixture = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(torch.ones(5).double()), each)
    torch.testing.assert_close(model._log_prior(u), mixture.log_prob(u), rtol=1e-6, atol=1e-6)
    draws = model._prior(Rows(1, 20_000, dtype=torch.float64))
    assert float(mixture.log_prob(draws).mean()) == pytest.approx(
        float(mixture.log_prob(mixture.sample((20_000,))).mean()), abs=0.03
    )


def test_density_integrates_to_one():
    source = torch.tensor([[-1.0, 0.0], [1.0, 0.5]]).double()
    model = Interpolant(Event((2,)), source=source, bandwidth=0.5, hidden=(8, 8)).double().eval()
    for k, parameter in enumerate(model.parameters()):
        parameter.data = 0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(k)).double()
    x = model.sample(2000, generator=0)
    axes = [torch.linspace(float(c.min()) - 1.5, float(c.max()) + 1.5, 70, dtype=torch.float64) for c in x.T]
    mass = (
        model.log_prob(torch.cartesian_prod(*axes)).exp().sum() * (axes[0][1] - axes[0][0]) * (axes[1][1] - axes[1][0])
    )
    assert float(mass) == pytest.approx(1.0, abs=2e-3)


def test_without_a_source_it_starts_at_noise():
    model = Interpolant(Event((2,)), hidden=(8,))
    torch.testing.assert_close(model.sample(5, generator=0), Rows(0, 5).normal(2))
    torch.testing.assert_close(model._log_prior(torch.zeros(1, 2)), torch.tensor([-1.8378771]))


def test_the_source_lies_with_the_weights(model, tmp_path):
    model.save(tmp_path)
    again = load(tmp_path)
    assert torch.equal(again.source, model.source) and len(again.source) == 2000
    torch.testing.assert_close(again.sample(20, generator=0), model.sample(20, generator=0))
    x = clusters(5, 4, RIGHT)[0]
    torch.testing.assert_close(again.log_prob(x), model.log_prob(x))
    assert len((tmp_path / "config.json").read_text()) < 5000


def test_counted_data_have_counted_sources():
    model = Interpolant(Event((2,), "integer", low=0, high=7), source=[[0, 7], [3, 3]], hidden=(8,))
    x = model.sample(200, generator=0)
    assert set(map(tuple, x.tolist())) <= {(0, 7), (3, 3)}  # nothing moves before training


def test_wrong_arguments():
    with pytest.raises(ValueError, match="expected source of shape"):
        Interpolant(Event((2,)), source=torch.zeros(5, 3))
    with pytest.raises(ValueError, match="leading batch axis"):
        Interpolant(Event((2,)), source=torch.zeros(2))
    with pytest.raises(ValueError, match="bandwidth"):
        Interpolant(Event((2,)), bandwidth=0.0)
