"""NICE: couplings keep volume exactly, and all stretching is in one scale per entry."""

import scipy.stats
import torch

from fairway.core.event import Event
from fairway.models.flow.nice import NICE, Diagonal
from fairway.models.flow.transforms.transform import Chain
from fairway.testing.subject import redraw


def rows(n, dims):
    return torch.randn(n, dims, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_additive_couplings_have_log_determinant_zero_and_the_scaling_its_sum():
    flow = NICE(Event((5,)), transforms=4, hidden=(8,)).double()
    redraw(flow)
    links = list(flow.transform.links)
    _, ladj = Chain(links[:-1]).to_latent(rows(7, 5))
    assert torch.equal(ladj, torch.zeros(7, dtype=torch.float64))
    assert isinstance(links[-1], Diagonal)
    torch.testing.assert_close(flow.transform.to_latent(rows(7, 5))[1], links[-1].log_scale.sum().expand(7))


def test_the_base_is_logistic_as_in_the_paper():
    flow = NICE(Event((3,)), hidden=(4,)).double().eval()
    x = rows(6, 3)
    torch.testing.assert_close(flow.log_prob(x), torch.tensor(scipy.stats.logistic.logpdf(x.numpy()).sum(1)))


def test_the_scaling_learns_the_spread_of_each_entry():
    x = rows(2000, 3) * torch.tensor([1.0, 3.0, 0.2])
    flow = NICE(Event((3,)), transforms=2, hidden=(8,), base="normal")
    flow.fit(x, preprocess=False, steps=600, lr=0.02, seed=0, progress=False)
    learned = (-flow.transform.links[-1].log_scale.detach()).exp().sort().values  # the mixings have moved the entries
    torch.testing.assert_close(learned, torch.tensor([0.2, 1.0, 3.0]), rtol=0.15, atol=0)
