"""A lower bound on the density of any denoiser: as the hierarchy of latents that its noise levels are.

    p(u_0) = int p(u_K) prod_k p(u_k-1 | u_k) p(u_0 | u_1)       levels 1, ..., K from little noise to much

    -log p(u_0) <= KL(q(u_K | u_0) | p(u_K))                                                prior
                 + sum_{k > 1} E KL(q(u_k-1 | u_k, u_0) | p(u_k-1 | u_k))                   denoising
                 - E log p(u_0 | u_1)                                                       reconstruction

(Sohl-Dickstein et al. 2015; Ho et al. 2020, eq. 5; Kingma et al. 2021, eq. 11). Level k has l_k = 2 log(alpha / sigma).
p(u_s | u_t) is q(u_s | u_t, u_0) with E[u_0 | u_t] for u_0 and e^r times its variance:

    KL = 1/2 sum_i (expm1(l_s - l_t) e^-r (eps_i - E[eps_i | u_t])^2 + e^-r - 1 + r)                  nats

with expm1(l_s - l_t) (eps - E eps)^2 = (SNR_s - SNR_t) (u_0 - E u_0)^2: alpha and sigma apart from their ratio cancel,
so that schedules differ in where their levels lie and in nothing else. Both ends, and the variance of a step unless the
model has its own, are right for data from N(0, I):

    p(u_K) = N(0, alpha^2 + sigma^2),   p(u_0 | u_1) = N(E[u_0 | u_1], n_1),   e^r = n_t / n_s,   n = 1 / (1 + e^l)

n is sigma^2 of a variance preserving schedule, and the variances are its beta_1 and beta_t: "larger". "smaller" has
r = 0, which is right for data of one point. With little noise a network misses eps by its scale, 1, and the larger
loses nothing there; the smaller loses 1/2 (e^h - 1 - h) nats an entry in a step of h. They meet as steps become small.

Levels are uniform in l ("log_snr") or in t ("time"). Each term is seen through one draw of its u_t; where K passes
through the network are too many, through a few levels drawn by a stratified uniform number with odds
w_k = (l_k-1 - l_k) / (l_1 - l_K) and weighted by 1 / w_k, which leaves the expectation as it is. What is bounded is the
density of this hierarchy, which a perfect network shares with its probability flow, and another does not.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from fairway.core.arrays import as_tensor
from fairway.core.capability import CapabilityError, HasBound
from fairway.core.numerics import event_sum, expand_as_rows, normal_log_prob
from fairway.core.random import Rows, Seed, seed_of
from fairway.models.diffusion.denoiser import Denoiser
from fairway.models.diffusion.schedule import Pair

SPACINGS, VARIANCES = ("log_snr", "time"), ("larger", "smaller")
FURTHEST = 13.0  # |l| beyond which nothing is left of the noise, or of the data, where a schedule goes on
Answers = tuple[Tensor, Tensor, Tensor | None]


@dataclass(frozen=True)
class VariationalBound:
    """A lower bound on log p(x) and its costs, each (*L,), nats.

    Args:
        value: one draw of the bound, data units; its mean over draws is the bound.
        terms: costs by name, whose sum is minus the value: prior, denoising, reconstruction, units.
    """

    value: Tensor
    terms: dict[str, Tensor]


def variational_bound(
    model: Denoiser,
    x: Any,
    context: Any = None,
    *,
    levels: int = 200,
    spacing: str = "log_snr",
    variance: str = "larger",
    ends: tuple[float, float] | None = None,
    evaluations: int | None = None,
    generator: Seed = 0,
    batch_size: int | None = None,
) -> VariationalBound:
    """One draw of the bound of a denoiser as a hierarchy of K levels.

    Args:
        model: a denoiser; counted data are dequantised, and the bound is one on their probability.
        x: (*L, *E) in data units; context (*L', *C), L' a prefix of L.
        levels: K. The bound rises with it, towards a limit.
        spacing: "log_snr" or "time".
        variance: of the steps back of a model that has none of its own, "larger" or "smaller".
        ends: largest and smallest log signal-to-noise ratio, within those of the schedule; None for all of them within
            13 of 0.
        evaluations: network passes for a row, all but one for levels drawn at random; None for all K.
        generator: seed of the noise; rows do not depend on their neighbours.
        batch_size: rows at once.

    Returns:
        value and terms, each (*L,).

    Raises:
        CapabilityError: not a denoiser, or data without a density.
        ValueError: fewer than two levels or evaluations, another spacing or variance, ends out of order, or
            shapes.
    """
    if not isinstance(model, Denoiser) or not model.supports(HasBound):
        raise CapabilityError(f"a variational bound needs a denoiser of data with a density, got {model.name()}")
    times, seed = level_times(model.schedule, levels, spacing, ends), seed_of(generator)
    names: list[str] = []

    def rows_of(x: Tensor, context: Tensor | None, start: int) -> Tensor:
        rows = Rows(seed, len(x), start, model.dtype, model.device)
        u, ladj = model._to_model(x, rows.spawn(0) if model.preprocess.random else None)
        terms = {**costs(model, u, context, rows.spawn(1), times, evaluations, variance), "units": -ladj}
        names[:] = list(terms)
        return torch.stack(list(terms.values()), -1)

    with torch.no_grad():
        values = model._over_rows(rows_of, as_tensor(x), context, batch_size)
    return VariationalBound(-values.sum(-1), dict(zip(names, values.unbind(-1), strict=True)))


def level_times(
    schedule: Any, levels: int, spacing: str = "log_snr", ends: tuple[float, float] | None = None
) -> Tensor:
    """t of the levels 1, ..., K (K,), float64, rising.

    Raises:
        ValueError: fewer than two levels, another spacing, or ends out of order or out of the schedule's reach.
    """
    if levels < 2 or spacing not in SPACINGS:
        raise ValueError(
            f"expected levels of at least 2 and a spacing among {', '.join(SPACINGS)}, got {levels} and {spacing!r}"
        )
    most, least = (float(end) for end in schedule.log_snr(torch.tensor([0.0, 1.0], dtype=torch.float64)))
    first, last = (min(most, FURTHEST), max(least, -FURTHEST)) if ends is None else ends
    slack = 1e-6
    if not most + slack >= first > last >= least - slack:
        raise ValueError(
            f"expected ends that fall, within the schedule's {most:.4g} and {least:.4g}, got {first:.4g} and {last:.4g}"
        )
    if spacing == "log_snr":
        ratios = torch.linspace(first, last, levels, dtype=torch.float64)
        times: Tensor = schedule.at_log_snr(ratios)
    else:
        start, end = schedule.at_log_snr(torch.tensor([first, last], dtype=torch.float64)).tolist()
        times = torch.linspace(start, end, levels, dtype=torch.float64)
    return times.clamp(0, 1)


def costs(
    model: Denoiser,
    u: Tensor,
    context: Tensor | None,
    rows: Rows,
    times: Tensor,
    evaluations: int | None = None,
    variance: str = "larger",
) -> dict[str, Tensor]:
    """The named costs (B,) of one draw, nats, model units; u (B, *U), times (K,) rising.

    Raises:
        ValueError: fewer than two evaluations, or another variance.
    """
    if variance not in VARIANCES:
        raise ValueError(f"expected a variance among {', '.join(VARIANCES)}, got {variance!r}")
    if evaluations is not None and evaluations < 2:
        raise ValueError(f"expected evaluations of at least 2, got {evaluations}")
    ratios = model.schedule.log_snr(times)
    steps = len(times) - 1
    drawn = every_level(steps, u) if evaluations is None or evaluations > steps else few(ratios, evaluations - 1, rows)
    total = torch.zeros(len(u), dtype=u.dtype, device=u.device)
    fresh = rows.spawn(2)
    for index, weight in drawn:
        t, s = (times[index + i].to(u) for i in (1, 0))
        here, there = ratios[index + 1], ratios[index]
        gain, room = torch.expm1(there - here).to(u), (F.logsigmoid(-here) - F.logsigmoid(-there)).to(u)
        excess = room if variance == "larger" else torch.zeros_like(room)
        total = total + weight.to(u) * _cost_at(model, u, context, fresh.normal(*u.shape[1:]), (t, s), (gain, excess))
    reconstruction = _reconstruction(model, u, context, fresh.normal(*u.shape[1:]), times[:1].to(u).expand(len(u)))
    return {"prior": prior_cost(u, ratios[-1]), "denoising": total, "reconstruction": reconstruction}


def every_level(steps: int, like: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The places (B,) of all steps, one after the other, with weight 1."""
    return [(torch.full((len(like),), k), torch.ones(len(like), dtype=torch.float64)) for k in range(steps)]


def few(ratios: Tensor, count: int, rows: Rows) -> list[tuple[Tensor, Tensor]]:
    """Places (B,) of a few steps for each row and their weights (B,), one stratum of odds w_k after the other."""
    share = -ratios.diff() / (ratios[0] - ratios[-1])
    edges, uniform = share.cumsum(0), rows.spawn(1).uniform().double().cpu()
    drawn = []
    for m in range(count):
        index = torch.searchsorted(edges, (m + uniform) / count).clamp(max=len(share) - 1)
        drawn.append((index, 1 / (count * share[index])))
    return drawn


def _cost_at(model: Denoiser, u: Tensor, context: Tensor | None, noise: Tensor, times: Pair, step: Pair) -> Tensor:
    """KL (B,) of the step from t to s, both (B,), of this gain and excess, through one draw of u_t."""
    (t, s), (gain, excess) = times, (expand_as_rows(c, u) for c in step)
    alpha, sigma = (expand_as_rows(c, u) for c in model.schedule(t))
    data, expected, own = _answers(model, alpha * u + sigma * noise, t, s, context)
    return step_cost(error_of(u, noise, data, expected, (alpha, sigma)), gain, excess if own is None else own)


def error_of(u: Tensor, noise: Tensor, data: Tensor, expected: Tensor, level: Pair) -> Tensor:
    """E[eps | u_t] - eps, up to its sign.

    It is the error of the data times alpha / sigma; of the two, the one that is no difference of almost equal numbers.

    Args:
        u, noise: u_0 and eps. data, expected: E[u_0 | u_t] and E[eps | u_t].
        level: alpha and sigma.
    """
    alpha, sigma = (expand_as_rows(c, u) for c in level)
    return torch.where(alpha > sigma, expected - noise, (data - u) * (alpha / sigma))


def step_cost(error: Tensor, gain: Tensor, excess: Tensor) -> Tensor:
    """KL(q(u_s | u_t, u_0) | p(u_s | u_t)) (B,), nats.

    Args:
        error: eps - E[eps | u_t], (B, *U).
        gain: SNR_s / SNR_t - 1, (B, 1, ..., 1).
        excess: r, the log of p's variance over q's, (B, *U) or (B, 1, ..., 1).
    """
    return event_sum(0.5 * (torch.exp(-excess) * gain * error.square() + torch.expm1(-excess) + excess))


def prior_cost(u: Tensor, ratio: Tensor) -> Tensor:
    """KL(q(u_K | u_0) | N(0, alpha^2 + sigma^2)) (B,), nats; ratio the log signal-to-noise ratio at level K."""
    signal = torch.sigmoid(ratio).to(u)
    # 1/2 (sigma^2 / S + alpha^2 u_0^2 / S - 1 - log(sigma^2 / S)), with sigma^2 / S = 1 - signal
    return event_sum(0.5 * (signal * (u.square() - 1) - torch.log1p(-signal)))


def _reconstruction(model: Denoiser, u: Tensor, context: Tensor | None, noise: Tensor, t: Tensor) -> Tensor:
    """-log p(u_0 | u_1) (B,), nats, through one draw of u_1."""
    alpha, sigma = (expand_as_rows(c, u) for c in model.schedule(t))
    data = model._denoise(alpha * u + sigma * noise, t, context)
    return -event_sum(normal_log_prob(u, data, torch.log(sigma / torch.hypot(alpha, sigma))))


def _answers(model: Any, u: Tensor, t: Tensor, s: Tensor, context: Tensor | None) -> Answers:
    """E[u_0 | u_t], E[eps | u_t] and the log of p's variance over q's where a model has its own (`_reverse_terms`)."""
    own: Callable[..., Answers] | None = getattr(model, "_reverse_terms", None)
    if own is not None:
        return own(u, t, s, context)
    data, noise = model._data_and_noise(u, t, context)
    return data, noise, None


__all__ = ["VariationalBound", "variational_bound"]
