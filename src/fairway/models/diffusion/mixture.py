"""The denoiser of a Gaussian mixture, in closed form at every noise level: what a perfect network would answer.

    u_0 ~ sum_k w_k N(m_k, C_k)   =>   u_t ~ sum_k w_k N(alpha m_k, S_k),      S_k = alpha^2 C_k + sigma^2 I
    E[u_0 | u_t, k] = m_k + alpha C_k S_k^-1 (u_t - alpha m_k)
    E[eps | u_t, k] = sigma S_k^-1 (u_t - alpha m_k)

and both are averaged with the components' probabilities given u_t. With C_k = V_k diag(l_k) V_k', all of it is a
rotation and a division at any t. No data are needed, nothing is learned: it is what samplers, schedules and likelihoods
are tested with, and a first look at what diffusion does before any network is trained.
"""

import math

import torch
from torch import Tensor

from fairway.core.event import Event
from fairway.models.diffusion.denoiser import Denoiser
from fairway.models.diffusion.prediction import prediction_named
from fairway.models.diffusion.schedule import Pair, Schedule, schedule_named


class MixtureDenoiser(Denoiser):
    """The exact denoiser of sum_k w_k N(m_k, C_k), D entries.

    Args:
        weights: (K,) positive, up to a factor.
        means: (K, D).
        covariances: (K, D, D), positive definite.
        schedule: by name or as a `Schedule`.
        prediction: by name; what the "network" is made to say. All answers are the same up to rounding.

    Raises:
        ValueError: shapes that do not agree, a weight that is not positive, a covariance that is not definite.

    >>> model = MixtureDenoiser(torch.ones(1), torch.zeros(1, 2), torch.eye(2).unsqueeze(0))
    >>> model.denoise(torch.ones(1, 2), 0.5)  # alpha = sigma = 1/2: half signal, half noise
    tensor([[1., 1.]])
    """

    weights: Tensor
    means: Tensor
    axes: Tensor
    variances: Tensor

    def __init__(
        self,
        weights: Tensor,
        means: Tensor,
        covariances: Tensor,
        *,
        schedule: str | Schedule = "linear",
        prediction: str = "data",
    ) -> None:
        _check(weights, means, covariances)
        super().__init__(Event((means.shape[1],)))
        variances, axes = torch.linalg.eigh(covariances)
        if not bool((variances > 0).all()):
            raise ValueError(
                f"expected positive definite covariances, got one with an eigenvalue {variances.min():.2g}"
            )
        self.register_buffer("weights", weights / weights.sum())
        self.register_buffer("means", means)
        self.register_buffer("axes", axes)
        self.register_buffer("variances", variances)
        self.schedule = schedule_named(schedule) if isinstance(schedule, str) else schedule
        self.prediction = prediction_named(prediction)

    def _prediction(self, t: Tensor) -> Pair:
        return self.prediction(self.schedule, t)

    def _network(self, u: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        (data, noise), (p, q) = self.expected(u, t), (c.unsqueeze(1) for c in self._prediction(t))
        return p * data + q * noise

    def expected(self, u: Tensor, t: Tensor) -> Pair:
        """E[u_0 | u_t = u] and E[eps | u_t = u], each (B, D); u (B, D), t (B,)."""
        (alpha, sigma), turned, variance = self._turned(u, t)
        share = (self._log_joint_of(turned, variance)).softmax(1).unsqueeze(2)
        pulled = turned / variance
        data = self.means + self._back(alpha * self.variances * pulled)
        return (share * data).sum(1), (share * self._back(sigma * pulled)).sum(1)

    def log_prob_at(self, u: Tensor, t: Tensor) -> Tensor:
        """(B,): log p_t(u), nats, exact; u (B, D), t (B,)."""
        _, turned, variance = self._turned(u, t)
        return self._log_joint_of(turned, variance).logsumexp(1)

    def _turned(self, u: Tensor, t: Tensor) -> tuple[Pair, Tensor, Tensor]:
        """alpha and sigma (B, 1, 1), and for each component V_k' (u - alpha m_k) and its variances (B, K, D)."""
        alpha, sigma = (c.reshape(-1, 1, 1) for c in self.schedule(t))
        rest = u.unsqueeze(1) - alpha * self.means
        turned = torch.einsum("bkd,kde->bke", rest, self.axes)
        return (alpha, sigma), turned, alpha.square() * self.variances + sigma.square()

    def _back(self, turned: Tensor) -> Tensor:
        """V_k x for each component, (B, K, D)."""
        return torch.einsum("bke,kde->bkd", turned, self.axes)

    def _log_joint_of(self, turned: Tensor, variance: Tensor) -> Tensor:
        """(B, K): log w_k + log N(u; alpha m_k, S_k)."""
        quadratic = (turned.square() / variance + variance.log()).sum(2)
        return self.weights.log() - 0.5 * (quadratic + turned.shape[2] * math.log(2 * math.pi))


def _check(weights: Tensor, means: Tensor, covariances: Tensor) -> None:
    """Shapes (K,), (K, D), (K, D, D), weights above 0."""
    shapes = [tuple(part.shape) for part in (weights, means, covariances)]
    if means.ndim != 2 or shapes != [(len(means),), tuple(means.shape), (*means.shape, means.shape[1])]:
        raise ValueError(f"expected weights (K,), means (K, D) and covariances (K, D, D), got {shapes}")
    if not bool((weights > 0).all()):
        raise ValueError(f"expected weights above 0, got {weights.tolist()}")
