"""One process: every function is the identity. Several: tests/training/test_distributed.py."""

import torch

from fairway.core import parallel
from fairway.core.objective import Batch
from fairway.core.random import Rows


def test_alone_every_function_is_the_identity():
    x = torch.arange(3.0)
    assert parallel.size() == 1 and parallel.rank() == 0 and not parallel.together()
    for function in (parallel.total, parallel.mean, parallel.gathered, parallel.in_step):
        assert torch.equal(function(x), x)
    assert parallel.agreed({"steps": 3}) == {"steps": 3}


def test_shares_of_a_batch_draw_the_batch_s_noise():
    whole = Rows(0, 150).normal(2)
    parts = [Rows(0, 75, 75 * r, shared_by=2) for r in range(2)]
    assert torch.equal(torch.cat([part.normal(2) for part in parts]), whole)
    assert torch.equal(parts[1].share(whole), whole[75:]) and parts[1].spawn(1).batch == 150


def test_means_of_shares_average_to_the_mean_of_the_batch():
    u, weight = torch.randn(6, 1, generator=torch.Generator().manual_seed(0)), torch.arange(1.0, 7)
    share = [Batch(u[i : i + 3], weight=weight[i : i + 3], total=weight.sum() / 2) for i in (0, 3)]
    mean = sum(b.mean(b.u[:, 0]) for b in share) / 2
    torch.testing.assert_close(mean, Batch(u, weight=weight).mean(u[:, 0]))
