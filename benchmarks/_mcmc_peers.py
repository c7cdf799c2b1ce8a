"""Peers for benchmarks/mcmc.py: the same chains on the same densities, by blackjax, numpyro, pyro and torchebm.

Every peer gets the log density alone (float32) and differentiates it itself, the same fixed step size and number of
leapfrog steps, a unit mass, and chains that start from exact draws, so that no warm-up is needed and every draw is from
the target. A peer is built once, `peer = blackjax_hmc(problem, chains, draws)`, and called, `peer(start, seed)`, for a
trace (draws, chains, d); the first call pays for compilation. Time is CPU time of this process on one thread.
"""
# ruff: noqa: E402  (the environment is set before what reads it is imported)

import os

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}
os.environ.update(ONE_THREAD)

import math
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fairway.core.numerics import log_sum_exp

torch.set_num_threads(1)
warnings.filterwarnings("ignore")  # peers deprecate parts of one another

Peer = Callable[[np.ndarray, int], np.ndarray]


# ------------------------------------------------------------------------------------------------------- densities
@dataclass(frozen=True)
class Gaussian:
    """A d-dimensional Gaussian with correlation rho^|i - j| by a dense precision matrix."""

    step: float = 0.15
    leapfrogs: int = 10
    dim: int = 100
    rho: float = 0.9
    name: str = "100-d correlated Gaussian"

    @cached_property
    def covariance(self) -> np.ndarray:
        place = np.arange(self.dim)
        return self.rho ** np.abs(place[:, None] - place)

    @cached_property
    def mean(self) -> np.ndarray:
        return np.zeros(self.dim)

    def exact(self, n: int, seed: int) -> np.ndarray:
        """(n, d) independent draws."""
        noise = np.random.default_rng(seed).standard_normal((n, self.dim))
        return (noise @ np.linalg.cholesky(self.covariance).T).astype(np.float32)

    def torch_log_prob(self) -> Callable[[Tensor], Tensor]:
        """(B, d) -> (B,)."""
        precision = torch.from_numpy(np.linalg.inv(self.covariance)).float()
        return lambda x: -0.5 * (x * (x @ precision)).sum(-1)

    def jax_log_prob(self) -> Callable[[Any], Any]:
        """(d,) -> ()."""
        import jax.numpy as jnp

        precision = jnp.asarray(np.linalg.inv(self.covariance), jnp.float32)
        return lambda x: -0.5 * x @ (precision @ x)


@dataclass(frozen=True)
class Ring:
    """Eight Gaussians of sd 0.2 on a ring of radius 4, with weights 1 : 2 : ... : 8."""

    step: float = 0.1
    leapfrogs: int = 10
    dim: int = 2
    sd: float = 0.2
    name: str = "2-D ring of 8 modes"

    @cached_property
    def weights(self) -> np.ndarray:
        return np.arange(1, 9) / 36

    @cached_property
    def centres(self) -> np.ndarray:
        angle = np.arange(8) * math.pi / 4
        return 4 * np.stack([np.cos(angle), np.sin(angle)], 1)

    @cached_property
    def mean(self) -> np.ndarray:
        return self.weights @ self.centres

    @cached_property
    def covariance(self) -> np.ndarray:
        away = self.centres - self.mean
        return self.sd**2 * np.eye(2) + (self.weights[:, None] * away).T @ away

    def exact(self, n: int, seed: int) -> np.ndarray:
        """(n, 2) independent draws."""
        rng = np.random.default_rng(seed)
        mode = rng.choice(8, n, p=self.weights)
        return (self.centres[mode] + self.sd * rng.standard_normal((n, 2))).astype(np.float32)

    def torch_log_prob(self) -> Callable[[Tensor], Tensor]:
        """(B, 2) -> (B,); chains last and one exponential a mode: torch's fastest, for us and for peers."""
        first, second = torch.from_numpy(self.centres).float().T.unsqueeze(-1)
        log_weights, half = torch.from_numpy(np.log(self.weights)).float().unsqueeze(-1), 0.5 / self.sd**2

        def log_prob(x: Tensor) -> Tensor:
            square = (x[:, 0] - first).square() + (x[:, 1] - second).square()
            return log_sum_exp(log_weights - half * square, 0)

        return log_prob

    def jax_log_prob(self) -> Callable[[Any], Any]:
        """(2,) -> ()."""
        import jax
        import jax.numpy as jnp

        centres, log_weights = jnp.asarray(self.centres, jnp.float32), jnp.asarray(np.log(self.weights), jnp.float32)
        half = 0.5 / self.sd**2
        return lambda x: jax.scipy.special.logsumexp(log_weights - half * jnp.square(x - centres).sum(-1))


# ----------------------------------------------------------------------------------------------------------- peers
def blackjax_hmc(problem: Any, chains: int, draws: int) -> Peer:
    """blackjax.hmc, chains by vmap, draws by scan, jitted as one."""
    import blackjax
    import jax.numpy as jnp

    kernel = blackjax.hmc(problem.jax_log_prob(), problem.step, jnp.ones(problem.dim), problem.leapfrogs)
    return _scanned(kernel, chains, draws)


def blackjax_nuts(problem: Any, chains: int, draws: int) -> Peer:
    """blackjax.nuts at the same step size."""
    import blackjax
    import jax.numpy as jnp

    return _scanned(blackjax.nuts(problem.jax_log_prob(), problem.step, jnp.ones(problem.dim)), chains, draws)


def _scanned(kernel: Any, chains: int, draws: int) -> Peer:
    import jax

    def run(start: Any, key: Any) -> Any:
        def move(states: Any, key: Any) -> Any:
            states, _ = jax.vmap(kernel.step)(jax.random.split(key, chains), states)
            return states, states.position

        return jax.lax.scan(move, jax.vmap(kernel.init)(start), jax.random.split(key, draws))[1]

    jitted = jax.jit(run)
    return lambda start, seed: np.asarray(jitted(start, jax.random.key(seed)))


def numpyro_hmc(problem: Any, chains: int, draws: int) -> Peer:
    """numpyro.infer.HMC, chains vectorised."""
    from numpyro.infer import HMC

    kernel = HMC(
        potential_fn=_potential(problem),
        step_size=problem.step,
        num_steps=problem.leapfrogs,
        trajectory_length=None,  # else its default length, cut into num_steps, overrides the step size
        **_NUMPYRO,
    )
    return _numpyro(kernel, chains, draws)


def numpyro_nuts(problem: Any, chains: int, draws: int) -> Peer:
    """numpyro.infer.NUTS at the same step size."""
    from numpyro.infer import NUTS

    return _numpyro(NUTS(potential_fn=_potential(problem), step_size=problem.step, **_NUMPYRO), chains, draws)


_NUMPYRO = {"adapt_step_size": False, "adapt_mass_matrix": False}


def _potential(problem: Any) -> Callable[[Any], Any]:
    log_prob = problem.jax_log_prob()
    return lambda x: -log_prob(x)


def _numpyro(kernel: Any, chains: int, draws: int) -> Peer:
    """The kernel's own init and sample under one jit (numpyro's MCMC object compiles anew at every run)."""
    import jax

    def run(state: Any) -> Any:
        def move(state: Any, _: None) -> Any:
            state = kernel.sample(state, (), {})  # over all chains: it was started with a key for each
            return state, state.z

        return jax.lax.scan(move, state, None, length=draws)[1]

    jitted = jax.jit(run)

    def peer(start: np.ndarray, seed: int) -> np.ndarray:
        state = kernel.init(jax.random.split(jax.random.PRNGKey(seed), chains), 0, start, (), {})
        return np.asarray(jitted(state))

    return peer


def pyro_hmc(problem: Any, chains: int, draws: int) -> Peer:
    """pyro.infer.HMC: chains one after the other (it has no chain axis)."""
    from pyro.infer import HMC, MCMC

    log_prob = problem.torch_log_prob()

    def potential(at: dict[str, Tensor]) -> Tensor:
        return -log_prob(at["x"][None])[0]

    def peer(start: np.ndarray, seed: int) -> np.ndarray:
        traces = []
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            for point in torch.from_numpy(start):
                kernel = HMC(
                    potential_fn=potential,
                    step_size=problem.step,
                    num_steps=problem.leapfrogs,
                    adapt_step_size=False,
                    adapt_mass_matrix=False,
                )
                mcmc = MCMC(kernel, draws, warmup_steps=0, initial_params={"x": point}, disable_progbar=True)
                mcmc.run()
                traces.append(mcmc.get_samples()["x"])
        return torch.stack(traces, 1).numpy()

    return peer


def torchebm_hmc(problem: Any, chains: int, draws: int) -> Peer:
    """torchebm's HamiltonianMonteCarlo."""
    from torchebm.samplers import HamiltonianMonteCarlo

    sampler = HamiltonianMonteCarlo(_energy(problem), step_size=problem.step, n_leapfrog_steps=problem.leapfrogs)
    return _torchebm(sampler, draws)


def torchebm_langevin(problem: Any, chains: int, draws: int) -> Peer:
    """torchebm's LangevinDynamics, unadjusted: x += eta grad log p + sqrt(2 eta) e, at eta = step^2 / 2."""
    from torchebm.samplers import LangevinDynamics

    return _torchebm(LangevinDynamics(_energy(problem), step_size=problem.step**2 / 2), draws)


def _energy(problem: Any) -> Any:
    from torchebm.core import BaseModel

    log_prob = problem.torch_log_prob()

    class Energy(BaseModel):
        def forward(self, x: Tensor) -> Tensor:
            return -log_prob(x)

    return Energy()


def _torchebm(sampler: Any, draws: int) -> Peer:
    def peer(start: np.ndarray, seed: int) -> np.ndarray:
        generator = torch.Generator().manual_seed(seed)
        trace = sampler.sample(x=torch.from_numpy(start), n_steps=draws, return_trajectory=True, generator=generator)
        return trace.swapaxes(0, 1).numpy()

    return peer


# ------------------------------------------------------------------------------------------------------ measuring
class Side:
    """One side of the comparison on one problem: built, called once (compilation), then called again and again.

    Args:
        build: makes the peer.
        problem, chains, draws: what it runs.
    """

    def __init__(self, build: Callable[[Any, int, int], Peer], problem: Any, chains: int, draws: int) -> None:
        self.draws, self.start = draws, problem.exact(chains, seed=0)
        self.seconds: list[float] = []
        self.wall: list[float] = []
        began = time.process_time()
        self.peer = build(problem, chains, draws)
        self.trace = self.peer(self.start, 0)
        self.first_s = time.process_time() - began

    def again(self, seed: int) -> None:
        """Another `draws` draws of every chain."""
        began, began_wall = time.process_time(), time.perf_counter()
        self.trace = self.peer(self.start, seed)
        self.seconds.append(time.process_time() - began)
        self.wall.append(time.perf_counter() - began_wall)

    @property
    def ms_per_draw(self) -> float:
        """Milliseconds of CPU per draw of all chains, compiled before; the median of the calls."""
        return 1000 * statistics.median(self.seconds) / self.draws

    @property
    def threads(self) -> float:
        """CPU time over wall time: at most 1 where one thread works."""
        return sum(self.seconds) / sum(self.wall)

    @property
    def moved(self) -> np.ndarray:
        """(chains,): share of a chain's draws that differ from the one before; the acceptance rate."""
        return (self.trace[1:] != self.trace[:-1]).any(-1).mean(0)


def measure(builders: dict[str, Any], problem: Any, chains: int, draws: int, repeats: int = 5) -> dict[str, Side]:
    """All sides in turn, `repeats` rounds, so that a busy moment of the machine meets all of them."""
    sides = {name: Side(build, problem, chains, draws) for name, build in builders.items()}
    for seed in range(1, repeats + 1):
        for side in sides.values():
            side.again(seed)
    return sides


def law_z(trace: np.ndarray, problem: Any) -> float:
    """The largest |z| of the means of x_i, x_i^2 and x_i x_i+1 against the truth.

    Chains start at independent exact draws, so the means of chains are independent and unbiased whatever the mixing.
    """
    x, centre, covariance = trace.astype(np.float64), problem.mean, problem.covariance
    away = x - centre
    values = [away, away**2 - np.diag(covariance), away[..., 1:] * away[..., :-1] - np.diag(covariance, 1)]
    of_chains = np.concatenate(values, -1).mean(0)
    return float(np.abs(of_chains.mean(0) / (of_chains.std(0, ddof=1) / math.sqrt(len(of_chains)))).max())
