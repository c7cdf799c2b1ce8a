"""Random-walk Metropolis: propose a point nearby, take it if it is not much worse.

    u' = u + step e,   e ~ N(0, I);      accept with probability min(1, p(u') / p(u))

The proposal is symmetric, so no correction is needed and no gradient either: values are enough. The best acceptance in
many dimensions is 0.234 (Roberts, Gelman & Gilks 1997), at step about 2.4 sd / sqrt(D); the step size of each chain
adapts to it. Metropolis et al. 1953. Model units.
"""

import torch
from torch import Tensor

from fairway.core.capability import Capability, HasEnergy, HasScore
from fairway.core.numerics import expand_as_rows
from fairway.samplers.kernel import Info, Kernel, Noise, State, accept, probability, shape_of
from fairway.samplers.target import Target


class RandomWalk(Kernel):
    """Random-walk Metropolis with a Gaussian proposal.

    Args:
        step: standard deviation of a proposal; where its adaptation starts.
    """

    wanted_acceptance = 0.234

    def __init__(self, step: float = 0.5) -> None:
        if step <= 0:
            raise ValueError(f"expected a positive step, got {step}")
        self.step_size = step

    @property
    def requires(self) -> tuple[type[Capability], ...]:
        return (HasEnergy, HasScore)  # a score exists on continuous units alone

    def noise(self, target: Target) -> dict[str, tuple[str, tuple[int, ...]]]:
        return {"move": ("normal", shape_of(target.event)), "accept": ("uniform", ())}

    def init(self, target: Target, u: Tensor) -> State:
        return State(u, target.value(u), torch.zeros_like(u), u.new_full((len(u),), self.step_size))

    def step(self, target: Target, state: State, noise: Noise) -> tuple[State, Info]:
        u = state.u + expand_as_rows(state.step, state.u) * noise["move"]
        value = target.value(u)
        chance = probability(value - state.value)
        return accept(state, noise["accept"] < chance, u=u, value=value), Info(chance)
