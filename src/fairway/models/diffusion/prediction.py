"""What a network predicts of u_t = alpha u_0 + sigma eps: always y = p u_0 + q eps, two numbers for each kind.

    data       (1, 0)                        E[u_0 | u_t]
    noise      (0, 1)                        E[eps | u_t]                                   (Ho et al. 2020)
    velocity   (alpha', sigma')              du/dt of the probability flow                  (Lipman et al. 2023)
    v          (-sigma, alpha)               a quarter turn of u_t where alpha^2 + sigma^2 = 1 (Salimans and Ho 2022)
    score      (0, -1 / sigma)               gradient of log p_t
    edm        (sigma, -alpha) / sqrt(S),  S = alpha^2 + sigma^2:  u_0 = c_skip u_t + c_out y
               with c_skip = alpha / S and c_out = sigma / sqrt(S)               (Karras et al. 2022, table 1)

The last holds for data of scale 1 (model units are that) and for any alpha: y then has scale 1 at every level. One
2 x 2 solve (`denoiser.solve`) gives u_0 and eps back from any kind.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from fairway.models.diffusion.schedule import Pair, Schedule

Prediction = Callable[[Schedule, Tensor], Pair]


def data(schedule: Schedule, t: Tensor) -> Pair:
    """The data."""
    return torch.ones_like(t), torch.zeros_like(t)


def noise(schedule: Schedule, t: Tensor) -> Pair:
    """The noise."""
    return torch.zeros_like(t), torch.ones_like(t)


def velocity(schedule: Schedule, t: Tensor) -> Pair:
    """The velocity of the probability flow."""
    return schedule.derivatives(t)


def v(schedule: Schedule, t: Tensor) -> Pair:
    """alpha eps - sigma u_0."""
    alpha, sigma = schedule(t)
    return -sigma, alpha


def score(schedule: Schedule, t: Tensor) -> Pair:
    """The gradient of log p_t."""
    return torch.zeros_like(t), -1 / schedule(t)[1]


def edm(schedule: Schedule, t: Tensor) -> Pair:
    """What is left to say beside c_skip u_t, at scale 1."""
    alpha, sigma = schedule(t)
    scale = alpha.square() + sigma.square()
    root = scale.sqrt()
    return (
        sigma / root,
        -alpha / root,
    )  # (1 - alpha^2 / S) / (sigma / sqrt S), and -(alpha sigma / S) / (sigma / sqrt S)


PREDICTIONS: dict[str, Prediction] = {
    "data": data,
    "noise": noise,
    "velocity": velocity,
    "v": v,
    "score": score,
    "edm": edm,
}


def prediction_named(name: str) -> Prediction:
    """What to predict, by name.

    Raises:
        ValueError: unknown name.
    """
    if name not in PREDICTIONS:
        raise ValueError(f"expected a prediction among {', '.join(PREDICTIONS)}, got {name!r}")
    return PREDICTIONS[name]
