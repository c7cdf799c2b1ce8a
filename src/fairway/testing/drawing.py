"""Clauses on samples: right shapes and ranges, and a draw that depends on its seed and on nothing else.

Noise comes in seeded blocks of 64 rows, so a draw is the same whatever the batch size, and n draws are a prefix of
n + m (a sampler that couples its chains promises the same for the same seed and n only). Nothing reads or moves
torch's global generator.
"""

import torch
from torch import Tensor

from fairway.core.capability import HasLogProb, HasReparameterised
from fairway.core.random import generator_for
from fairway.testing.check import check, expect, expect_close
from fairway.testing.configuration import QUESTIONS
from fairway.testing.subject import Subject


def agree(s: Subject, got: Tensor, wanted: Tensor, what: str) -> None:
    """Equal draws: exactly where they count, to rounding where they are real."""
    scale = 0.0 if s.event.counted else float(wanted.double().abs().max())
    expect_close(got, wanted, what, rtol=0 if s.event.counted else 1e-6, atol=1e-7 * scale)


@check()
def samples_fit_the_event(s: Subject) -> None:
    draws = s.sample(40)
    expect(draws.shape[0] == 40 and draws.ndim == 1 + len(s.event.shape), f"got samples of shape {tuple(draws.shape)}")
    expect(not draws.requires_grad, "samples carry a gradient")
    expect(
        not draws.is_floating_point() if s.event.counted else draws.dtype == torch.float64,
        f"samples of {s.event} from a float64 model have dtype {draws.dtype}",
    )
    expect(draws.double().isfinite().all(), "samples are not finite")
    s.event.check(draws, "samples")
    if s.event.kind == "bounded":
        expect((draws >= s.event.low).all() and (draws <= s.event.high).all(), "samples leave the range")
    if s.event.kind == "positive":
        expect((draws >= 0).all(), "samples are negative")
    expect((draws != draws[:1]).any(), "all samples are the same")


@check()
def samples_follow_the_seed(s: Subject) -> None:
    draws = s.sample(24, seed=3)
    agree(s, s.sample(24, seed=3), draws, "the same seed")
    expect((s.sample(24, seed=4) != draws).any(), "another seed gives the same samples")
    context = s.one_context()
    again = [s.model.sample(8, context=context, generator=generator_for(1)) for _ in range(2)]
    agree(s, again[1], again[0], "the same torch.Generator")


@check(lambda model: not model.default_sampler().coupled, states=("redrawn",))
def samples_ignore_the_batch_size(s: Subject) -> None:
    draws = s.sample(70)
    agree(s, s.sample(70, batch_size=33), draws, "with batch_size=33")
    agree(s, s.sample(67), draws[:67], "a shorter draw of the same seed")


@check(lambda model: model.context_event is not None)
def contexts_come_in_batches(s: Subject) -> None:
    assert s.context is not None
    draws = s.model.sample(3, context=s.context[:2], generator=0)
    expect(
        tuple(draws.shape[:2]) == (2, 3), f"2 contexts, 3 draws each: expected (2, 3, ...), got {tuple(draws.shape)}"
    )
    single = s.model.sample(3, context=s.context[0], generator=0)
    expect(
        single.shape == draws.shape[1:], f"one context: expected {tuple(draws.shape[1:])}, got {tuple(single.shape)}"
    )
    if not s.model.default_sampler().coupled:
        agree(s, s.model.sample(2, context=s.context[:2], generator=0), draws[:, :2], "fewer draws for each context")


@check(lambda model: model.context_event is not None, states=("redrawn",))
def context_matters(s: Subject) -> None:
    assert s.context is not None
    far = next(c for c in s.context if bool((c != s.context[0]).any()))
    here, there = (s.model.sample(256, context=c, generator=0) for c in (s.context[0], far))
    expect((here != there).any(), "samples under two contexts are the same")


@check(states=("trained",))
def leaves_no_trace(s: Subject) -> None:
    state = {key: value.clone() for key, value in s.model.state_dict().items()}
    gradients = {name: p.grad for name, p in s.model.named_parameters()}
    before, (x, context) = torch.get_rng_state(), s.rows(8, gaps=False)
    s.sample(8)
    for capability, ask in QUESTIONS.items():
        if s.model.supports(capability) and capability.asks != "decode":  # type: ignore[attr-defined]
            ask(s.model, x, context)
    expect(torch.equal(torch.get_rng_state(), before), "the global generator moved")
    expect(not s.model.training, "the model was left in train mode")
    for key, value in s.model.state_dict().items():
        expect(torch.equal(value.nan_to_num(), state[key].nan_to_num()), f"asking the model changed {key}")
    expect(all(p.grad is gradients[name] for name, p in s.model.named_parameters()), "asking the model left gradients")


@check(lambda model: model.supports(HasReparameterised) and model.supports(HasLogProb))
def draws_come_with_their_density(s: Subject) -> None:
    x, log_prob = s.model.sample_and_log_prob(9, context=s.one_context(), generator=0)
    expect(x.shape[0] == 9 and log_prob.shape == (9,), f"got shapes {tuple(x.shape)} and {tuple(log_prob.shape)}")
    expect(not any(p.requires_grad for p in s.model.parameters()) or x.requires_grad, "the draw carries no gradient")
    again = s.model.log_prob(x.detach(), s.contexts(9))
    expect_close(log_prob, again, "sample_and_log_prob against log_prob", rtol=1e-6, atol=1e-6)


CHECKS = [
    samples_fit_the_event,
    samples_follow_the_seed,
    samples_ignore_the_batch_size,
    contexts_come_in_batches,
    context_matters,
    leaves_no_trace,
    draws_come_with_their_density,
]
