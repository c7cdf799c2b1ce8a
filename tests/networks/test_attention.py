"""Attention written out: torch's own numbers, with derivatives that torch's own lacks."""

import torch
import torch.nn.functional as F

from fairway.core.random import Rows
from fairway.networks.attention import attend, split_heads


def parts(heads=2, tokens=5):
    return split_heads(Rows(0, 3, dtype=torch.float64).normal(tokens, 12), heads)


def together(told):
    """(B, heads, T, d) -> (B, T, heads d)."""
    return told.transpose(1, 2).flatten(2)


def test_a_head_is_a_run_of_columns_of_each_third():
    projected = torch.arange(12.0).expand(1, 1, 12)
    query, key, value = split_heads(projected, 2)[:, 0, :, 0]
    assert (
        query.tolist() == [[0, 1], [2, 3]] and key.tolist() == [[4, 5], [6, 7]] and value.tolist() == [[8, 9], [10, 11]]
    )


def test_it_is_torchs():
    told = parts()
    torch.testing.assert_close(attend(*told), together(F.scaled_dot_product_attention(*told)))
    mask = torch.full((5, 5), -torch.inf, dtype=torch.float64).triu(1)
    torch.testing.assert_close(attend(*told, mask), together(F.scaled_dot_product_attention(*told, is_causal=True)))


def test_a_query_may_be_alone():
    query, key, value = parts()
    torch.testing.assert_close(attend(query[:, :, 2:3], key, value), attend(query, key, value)[:, 2:3])


def test_second_and_forward_derivatives_exist():
    told = [part.detach().requires_grad_() for part in parts(tokens=3).unbind()]
    assert torch.autograd.gradcheck(attend, told, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(attend, told)
