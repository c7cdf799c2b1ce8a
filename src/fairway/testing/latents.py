"""Clauses on latents: encode and decode undo one another, and a flow's density is the one its map implies.

    decode(encode(x)) = x,     log p(x) = log p_Z(encode(x)) + log|det d encode / dx|     (same number of entries)

The determinant is taken by autograd. The base is N(0, I) unless the model has `_log_base(z (B, *Z)) -> (B,)`.
"""

from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import HasDecoder, HasLatent, HasLogProb
from fairway.core.numerics import standard_normal_log_prob
from fairway.testing.check import check, expect, expect_close
from fairway.testing.data import scale_of
from fairway.testing.subject import Subject


def is_flow(model: Any) -> bool:
    """A bijection with a density: HasLatent and HasLogProb, continuous model units, as many latents as entries."""
    if not (isinstance(model, HasLatent) and isinstance(model, HasLogProb)) or model.model_event.counted:
        return False
    return model.latent_event.dims == model.model_event.dims and not model.latent_event.counted


@check(lambda model: model.supports(HasLatent))
def encode_gives_a_latent(s: Subject) -> None:
    x, context = s.rows(6)
    z = s.model.encode(x, context)
    wanted = (6, *s.model.latent_event.shape)
    expect(tuple(z.shape) == wanted, f"encode of 6 rows: expected {wanted}, got {tuple(z.shape)}")
    s.model.latent_event.check(z, "latents")
    expect_close(s.model.encode(x[:3], None if context is None else context[:3]), z[:3], "encode of fewer rows", 1e-6)
    expect_close(s.model.encode(x[0], s.one_context()), z[0], "encode of a single observation", 1e-6)


@check(lambda model: model.supports(HasDecoder))
def decode_gives_an_observation(s: Subject) -> None:
    latent = s.model.latent_event
    z = torch.zeros(4, *latent.shape, dtype=torch.long if latent.counted else torch.float64) + latent.offset
    decoded = s.model.decode(z, s.contexts(4))
    s.event.check(decoded, "decoded latents")
    expect(decoded.shape[0] == 4, f"decode of 4 latents: got {tuple(decoded.shape)}")
    expect_close(s.model.decode(z[0], s.one_context()), decoded[0], "decode of a single latent", 1e-6)


@check(is_flow, fine=True)
def decode_undoes_encode(s: Subject) -> None:
    x, context = s.rows(32)
    again = s.model.decode(s.model.encode(x, context), context)
    unit = 1.0 if s.event.counted else scale_of(s.event)
    tolerance = 1e-9 if s.model.likelihood == "exact" else 1e-5  # a solver's own error
    expect_close(again.double() / unit, x.double() / unit, "decode(encode(x))", rtol=tolerance, atol=tolerance)


@check(is_flow)
def log_prob_is_the_change_of_variables(s: Subject) -> None:
    x, context = s.rows(4)
    embedded = s.model._context_rows(context, (4,))
    u, _ = s.model._to_model(x)
    z = s.model._encode(u, embedded)
    base = s.model._log_base(z) if hasattr(s.model, "_log_base") else standard_normal_log_prob(z)
    expected = base + log_abs_det(lambda v: s.model._encode(v, embedded), u)
    got = s.model._log_prob(u, embedded)
    # A density from an ODE solver carries the solver's error.
    tolerance = 1e-3 if s.model.likelihood == "numerical" else 1e-7
    expect_close(got, expected, "log_prob against log|det J| by autograd", rtol=tolerance, atol=tolerance)


def log_abs_det(function: Any, u: Tensor) -> Tensor:
    """(B,): log|det d function / du| of every row, by autograd; rows must not see one another."""
    jacobian = torch.autograd.functional.jacobian(lambda v: function(v).flatten(1).sum(0), u)
    rows = jacobian.flatten(2).transpose(0, 1) if jacobian.ndim > 2 else jacobian.unsqueeze(-1)
    return torch.linalg.slogdet(rows).logabsdet


CHECKS = [
    encode_gives_a_latent,
    decode_gives_an_observation,
    decode_undoes_encode,
    log_prob_is_the_change_of_variables,
]
