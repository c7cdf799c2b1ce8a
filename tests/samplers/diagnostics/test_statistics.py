"""Running statistics: those of the full trace, however it is cut, in memory that does not grow."""

import math

import pytest
import torch

from fairway.samplers.diagnostics import Statistics, ess_mean
from fairway.samplers.diagnostics.rhat import potential_scale_reduction
from fairway.samplers.diagnostics.series import split
from fairway.samplers.diagnostics.statistics import Moments


def autoregression(steps, chains, entries, rho=0.8):
    noise = torch.randn(steps, chains, entries, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = noise * math.sqrt(1 - rho**2)
    x[0] = noise[0]
    for t in range(1, steps):
        x[t] += rho * x[t - 1]
    return 1e4 + 3 * x


def kept(trace, size):
    statistics = Statistics(len(trace))
    for block in trace.split(size):
        statistics.update(block)
    return statistics


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
@pytest.mark.parametrize("steps", [200, 201])
def test_they_are_those_of_the_full_trace(steps, size):
    trace = autoregression(steps, 3, 2)
    found = kept(trace, size)
    torch.testing.assert_close(found.mean, trace.mean((0, 1)), rtol=1e-12, atol=0)
    torch.testing.assert_close(found.sd, trace.flatten(0, 1).std(0), rtol=1e-10, atol=0)
    torch.testing.assert_close(found.chain_mean, trace.mean(0), rtol=1e-12, atol=0)
    torch.testing.assert_close(found.chain_variance, trace.var(0), rtol=1e-10, atol=0)
    halves = split(trace.permute(2, 1, 0))
    torch.testing.assert_close(found.split_rhat, potential_scale_reduction(halves), rtol=1e-10, atol=0)
    batch = max(math.isqrt(steps), min(20, steps // 2))
    means = trace[: steps // batch * batch].unflatten(0, (-1, batch)).mean(1)
    long_run = torch.maximum(batch * means.var(0).mean(0), steps * trace.mean(0).var(0))
    by_hand = trace[:, :, 0].numel() * trace.flatten(0, 1).var(0) / long_run
    torch.testing.assert_close(found.ess_batch_means, by_hand, rtol=1e-9, atol=0)


def test_batch_means_agree_with_the_trace_on_what_draws_are_worth():
    trace = autoregression(4000, 64, 4)
    found = kept(trace, 500)
    torch.testing.assert_close(found.ess_batch_means, ess_mean(trace), rtol=0.3, atol=0)
    torch.testing.assert_close(found.mcse_mean, found.sd / found.ess_batch_means.sqrt())


def test_chains_that_disagree_are_seen():
    trace = autoregression(400, 4, 1)
    trace[:, 0] += 30
    found = kept(trace, 50)
    assert found.split_rhat > 1.5 and found.ess_batch_means < 8


def test_memory_does_not_grow_with_the_steps():
    def held(statistics):
        parts = [*statistics._kept.values(), statistics._open, statistics._batches]
        return sum(m.mean.numel() + m.squares.numel() for m in parts if isinstance(m, Moments))

    assert held(kept(autoregression(50, 2, 3), 9)) >= held(kept(autoregression(5000, 2, 3), 900))


def test_states_come_as_a_list_in_any_precision_and_as_integers():
    trace = autoregression(100, 3, 2)
    listed = Statistics(100)
    listed.update(list(trace.float()))
    torch.testing.assert_close(listed.sd, trace.flatten(0, 1).std(0), rtol=1e-3, atol=0)
    assert listed.mean.dtype == torch.float64
    counts = kept(torch.arange(8).reshape(4, 2), 2)
    assert float(counts.mean) == 3.5


def test_too_few_states_are_nan_and_too_many_an_error():
    short = kept(autoregression(3, 2, 1), 3)
    assert short.split_rhat.isnan().all() and short.sd.isfinite().all()
    part = Statistics(100)
    with pytest.raises(ValueError, match="update first"):
        _ = part.mean
    part.update(autoregression(60, 2, 1))
    assert part.split_rhat.isnan().all() and part.ess_batch_means.isfinite().all()
    with pytest.raises(ValueError, match="40 more states of the 100"):
        part.update(autoregression(41, 2, 1))
    with pytest.raises(ValueError, match="shape"):
        part.update(autoregression(5, 3, 1))
    with pytest.raises(ValueError, match="at least one"):
        Statistics(0)
