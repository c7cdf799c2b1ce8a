"""Alone it is torch's own; shares of a batch drop what the whole batch would."""

import torch

from fairway.core import parallel
from fairway.core.random import seeded
from fairway.networks.dropout import Dropout


def dropped(layer, x):
    with seeded(3):
        return layer(x)


def test_alone_it_is_torch_s_own():
    x = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(dropped(Dropout(0.3), x), dropped(torch.nn.Dropout(0.3), x))
    assert torch.equal(Dropout(0.3).eval()(x), x)


def test_shares_drop_what_the_whole_batch_would(monkeypatch):
    x = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    whole = dropped(Dropout(0.3), x)
    monkeypatch.setattr(parallel, "together", lambda: True)
    monkeypatch.setattr(parallel, "size", lambda: 2)
    for rank in (0, 1):
        monkeypatch.setattr(parallel, "rank", lambda rank=rank: rank)
        share = slice(5 * rank, 5 * rank + 5)
        torch.testing.assert_close(dropped(Dropout(0.3), x[share]), whole[share])
