"""Attention: a token takes from the others by how well their keys answer its query (Vaswani et al. 2017, section 3.2).

    softmax(Q K^T / sqrt(d) + mask) V                 in each of `heads` parts of the stream, d = width / heads

Written out, as torch's fused kernel has neither a second nor a forward derivative on a processor (torch 2.13), which
exact divergences and the training of scores need. Memory grows with T^2.
"""

from torch import Tensor


def split_heads(projected: Tensor, heads: int) -> Tensor:
    """Query, key and value side by side (B, T, 3 width) -> (3, B, heads, T, width / heads)."""
    return projected.unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """(B, heads, T, d), (B, heads, S, d) twice -> (B, T, heads d).

    Args:
        query, key, value: from `split_heads`.
        mask: (T, S) added to what a query makes of a key: 0, or -inf where it must not look. None for all 0.

    >>> import torch
    >>> attend(*split_heads(torch.zeros(2, 5, 12), heads=2)).shape
    torch.Size([2, 5, 4])
    """
    weights = query @ key.transpose(2, 3) / query.shape[3] ** 0.5
    weights = weights if mask is None else weights + mask
    return (weights.softmax(3) @ value).transpose(1, 2).flatten(2)
