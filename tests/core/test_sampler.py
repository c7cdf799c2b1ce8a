"""Samplers: what they require, how draws add up, and how a kernel or a name becomes one."""

import pytest
import torch

from fairway.core.capability import CapabilityError, HasSample, HasScore
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.sampler import Direct, Draws, Sampler, as_sampler, equally_weighted


class Noise(HasSample, Model):
    """Standard normal noise."""

    def _sample(self, n, context, rows):
        return rows.normal(2)

    @property
    def strokes(self):
        return 3.0


class Walk(Sampler):
    """Starts at the given points and stays there; coupled, so that it must see all rows at once."""

    requires = ()
    coupled = True

    def run(self, model, n, *, context, generator, init=None, trace=False):
        start = generator.normal(2) if init is None else init
        self.seen = n
        return Draws(start, 5.0, trace=start.unsqueeze(0) if trace else None)


class Follow(Walk):
    """Needs a score."""

    requires = (HasScore,)


class Kernel:
    """Wraps itself."""

    def as_sampler(self):
        return Walk()


def test_draws_add_up():
    parts = [
        Draws(torch.zeros(1, 2), 2.0, acceptance=0.5, trace=torch.zeros(4, 1, 2), info={"a": 1}),
        Draws(torch.ones(3, 2), 6.0, acceptance=0.9, trace=torch.ones(4, 3, 2)),
    ]
    whole = Draws.concatenate(parts)
    assert whole.samples.sum() == 6 and whole.evaluations == 5.0 and whole.acceptance == pytest.approx(0.8)
    assert whole.trace.shape == (4, 4, 2) and whole.log_weights is None and whole.info == {"a": 1}
    assert Draws.concatenate(parts[:1]) is parts[0]


def test_names_kernels_and_samplers():
    walk = Walk()
    assert (
        as_sampler(walk) is walk and isinstance(as_sampler(Kernel()), Walk) and isinstance(as_sampler("direct"), Direct)
    )
    with pytest.raises(TypeError, match="expected a sampler, a kernel or a registered name, got int"):
        as_sampler(3)
    with pytest.raises(ValueError, match="no sampler named 'diretc'; did you mean 'direct'"):
        as_sampler("diretc")


def test_a_direct_draw_counts_its_strokes_and_takes_no_start():
    model = Noise(Event((2,)))
    assert model.draw(5, generator=0).evaluations == 3.0
    with pytest.raises(ValueError, match="expected no init"):
        model.sample(2, init=torch.zeros(2, 2))


def test_a_sampler_checks_what_it_requires():
    with pytest.raises(CapabilityError, match="needs a model that answers 'score'; Noise answers: sample"):
        Noise(Event((2,))).sample(2, sampler=Follow())


def test_coupled_chains_run_together_and_start_where_told():
    model, walk = Noise(Event((2,))).double(), Walk()
    model.preprocess.fit(torch.tensor([[0.0, 10.0], [2.0, 30.0]]))
    start = torch.tensor([[5.0, -3.0], [1.0, 20.0], [0.0, 0.0]], dtype=torch.float64)
    draws = model.draw(3, sampler=walk, init=start, batch_size=2, trace=True)
    assert walk.seen == 3 and torch.allclose(draws.samples, start)


def test_weighted_draws_become_equal_ones():
    samples = torch.arange(8.0).reshape(2, 4, 1)
    log_weights = torch.tensor([[0.0, 0.0, -torch.inf, -torch.inf], [-torch.inf, -torch.inf, -torch.inf, 3.0]])
    equal = equally_weighted(samples, log_weights, 0)
    assert equal[..., 0].tolist() == [[0.0, 0.0, 1.0, 1.0], [7.0, 7.0, 7.0, 7.0]]
    with pytest.raises(ValueError, match="positive weight"):
        equally_weighted(samples, torch.full((2, 4), -torch.inf), 0)


class Weighted(Sampler):
    """Uniform draws on (0, 1) with weights that make their density 2 x."""

    def run(self, model, n, *, context, generator, init=None, trace=False):
        u = generator.uniform(1)
        return Draws(u, log_weights=u.squeeze(1).log())


def test_a_model_hands_out_samples_not_weighted_draws():
    model = Noise(Event((1,)))
    x = model.sample(20_000, sampler=Weighted(), generator=0)
    assert float(x.mean()) == pytest.approx(2 / 3, abs=0.01)
    assert torch.equal(x, model.sample(20_000, sampler=Weighted(), generator=0))
    assert model.draw(5, sampler=Weighted(), generator=0).log_weights is not None
