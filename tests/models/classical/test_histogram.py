"""Independent levels: shares by counting, exact everything."""

import itertools

import pytest
import torch

from fairway.core.event import Event
from fairway.models.classical.histogram import Independent
from fairway.training.fit import fit


@pytest.fixture
def x():
    """Three entries of five levels from -1 on; the second hardly ever moves."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-1, 4, (80, 3), generator=generator)
    x[:, 1] = torch.where(x[:, 1] > 2, x[:, 1], 0)
    return x


def shares(x, smoothing):
    """By bincount, entry by entry."""
    counts = torch.stack([(column + 1).bincount(minlength=5) for column in x.T]).double() + smoothing
    return counts / counts.sum(1, keepdim=True)


@pytest.mark.parametrize("smoothing", [0.5, 1.0])
def test_shares_are_the_smoothed_counts(x, smoothing):
    model = fit("independent", x, smoothing=smoothing)
    torch.testing.assert_close(model.logits.softmax(1).detach().double(), shares(x, smoothing), atol=1e-6, rtol=0)
    expected = shares(x, smoothing).log().gather(1, x.T + 1).sum(0)
    torch.testing.assert_close(model.log_prob(x).double(), expected, atol=1e-5, rtol=0)


def test_probabilities_sum_to_one(x):
    model = fit("independent", x, dtype="float64")
    every = torch.tensor(list(itertools.product(range(-1, 4), repeat=3)))
    assert float(model.log_prob(every).exp().sum()) == pytest.approx(1.0, abs=1e-12)


def test_weights_are_repeated_rows(x):
    count = torch.arange(80) % 3
    weighted = fit("independent", x, weights=count, dtype="float64")
    model = Independent(weighted.event)
    repeated = fit(model, x.repeat_interleave(count, 0), dtype="float64")
    torch.testing.assert_close(weighted.logits, repeated.logits)


def test_gaps_are_not_counted(x):
    holes = x.float()
    holes[::3, 0] = torch.nan
    model = fit("independent", holes)
    kept = x[torch.arange(80) % 3 != 0]
    torch.testing.assert_close(model.logits[0].softmax(0).detach().double(), shares(kept, 1.0)[0], atol=1e-6, rtol=0)
    torch.testing.assert_close(model.logits[1:].softmax(1).detach().double(), shares(x, 1.0)[1:], atol=1e-6, rtol=0)
    assert bool(model.log_prob(holes).isfinite().all())


def test_marginal_and_completion(x):
    model = fit("independent", x, dtype="float64")
    observed = torch.tensor([True, False, True])
    table = shares(x, 1.0)
    expected = (table[0].log()[x[:, 0] + 1]) + table[2].log()[x[:, 2] + 1]
    torch.testing.assert_close(model.log_marginal(x, observed), expected)
    done = model.complete(x[:4], observed, 4_000, generator=0)
    assert torch.equal(done[:, :, observed], x[:4, observed].unsqueeze(1).expand(4, 4_000, 2).to(done.dtype))
    drawn = (done[:, :, 1].flatten() + 1).bincount(minlength=5) / 16_000
    torch.testing.assert_close(drawn.double(), table[1], atol=0.015, rtol=0)


def test_samples_have_the_shares(x):
    model = fit("independent", x)
    drawn = model.sample(20_000, generator=0)
    for i in range(3):
        got = (drawn[:, i].long() + 1).bincount(minlength=5) / 20_000
        torch.testing.assert_close(got.double(), shares(x, 1.0)[i], atol=0.015, rtol=0)


def test_images_and_bytes():
    x = torch.randint(0, 256, (20, 1, 3, 2), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    model = fit("independent", x)
    assert model.logits.shape == (6, 256)
    drawn = model.sample(3, generator=0)
    assert drawn.shape == (3, 1, 3, 2) and drawn.dtype == torch.uint8
    assert model.log_prob(x).shape == (20,)


def test_levels_must_be_known():
    with pytest.raises(ValueError, match="independent counts levels: expected an event with levels"):
        Independent(Event((2,), "integer"))
    with pytest.raises(ValueError, match="takes events of kind"):
        Independent(Event((2,)))


def test_it_costs_no_network():
    assert Independent(Event((2,), "binary")).strokes == 0.0
