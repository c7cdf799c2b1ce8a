"""Reflow: learn again, on the pairs that a learned flow makes; its paths come out straighter.

    eps ~ p_1,   u_0 = the teacher's flow from eps at t = 1 to t = 0            (K pairs, made once)
    loss = E_{t, (u_0, eps)} |v(u_t, t) - (eps - u_0)|^2 / D,    u_t = (1 - t) u_0 + t eps

Lines of independent pairs cross, and where they cross the velocity is an average of both: paths bend. Pairs of a flow
follow paths that never cross, so straightened lines cross less. Transport costs never rise from one flow to the next,
and E int |v(u_t, t) - (eps - u_0)|^2 dt, which is 0 where all paths are straight, falls like 1 / rounds (Liu, Gong and
Liu 2023, Flow Straight and Fast, theorems 3.5 and 3.7): one step of Euler's rule then is the whole path. The student
can only be as good as its teacher's draws.
"""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from fairway.core.capability import require
from fairway.core.objective import Batch, Loss, Phase
from fairway.core.random import Rows
from fairway.objectives.flow_matching import VelocityRegression, path
from fairway.samplers.ode import ProbabilityFlow

CHUNK = 4096  # pairs made in one pass


class Reflow(VelocityRegression):
    """Mean squared error of the velocity, per entry, on a teacher's pairs; the batch says how many of them.

    The teacher is asked once, before the first step; what it said is memory of the objective and is resumed. Start
    from it, too: `fw.fit("flow_matching", x, objective=Reflow(teacher), init=teacher)`.

    Args:
        teacher: a fitted model with a velocity and the same event, without a context.
        pairs: how many are made; a tenth is kept for evaluations. strokes: steps of Heun's rule for each.
        times: law of t, "uniform", "logit_normal" or "wide_normal".

    Raises:
        ValueError: fewer than one pair, an unknown law; with a model, a teacher that does not fit to it.
    """

    teacher: Any
    data: Tensor
    noise: Tensor

    def __init__(self, teacher: Any = None, pairs: int = 20_000, strokes: int = 25, times: str = "uniform") -> None:
        super().__init__(times)
        if pairs < 1:
            raise ValueError(f"expected at least 1 pair, got {pairs}")
        self.pairs, self.flow = pairs, ProbabilityFlow(strokes)
        # No module of the objective: it does not learn, and what it said is remembered below. A copy, since the model
        # that learns may be the teacher itself.
        object.__setattr__(self, "teacher", None if teacher is None else deepcopy(teacher).eval())
        self.register_buffer("data", torch.empty(0))
        self.register_buffer("noise", torch.empty(0))

    def check(self, model: Any) -> None:
        """Whether there is a teacher whose pairs this model can learn.

        Raises:
            CapabilityError: one of them has no velocity.
            ValueError: no teacher, another event, a context.
        """
        super().check(model)
        if self.teacher is None:
            raise ValueError("expected teacher=MODEL with reflow, a fitted model that has a velocity; got none")
        require(self.teacher, self.requires, f"the objective {self.name()}")
        if self.teacher.event != model.event:
            raise ValueError(f"expected a teacher of {model.event}, got one of {self.teacher.event}")
        if model.context_event is not None or self.teacher.context_event is not None:
            raise ValueError("expected no context with reflow: its pairs are made before any context is seen")

    def start(self, model: Any, u: Tensor) -> None:
        """Make the pairs.

        Raises:
            ValueError: the teacher starts from another law at t = 1 than the model.
        """
        seed = int(torch.randint(2**62, ()))  # of the generator that the fit seeded
        made = [self._make(model, seed, k, min(CHUNK, self.pairs - k)) for k in range(0, self.pairs, CHUNK)]
        self.data, self.noise = (torch.cat(ends).to(u) for ends in zip(*made, strict=True))
        few = self.noise[:16]
        if not torch.allclose(model._log_prior(few).double(), self._log_prior(few).double(), rtol=1e-3, atol=1e-3):
            raise ValueError(f"expected a teacher with {model.name()}'s law at t = 1, got {self.teacher.name()}")

    @torch.no_grad()
    def _make(self, model: Any, seed: int, start: int, n: int) -> tuple[Tensor, Tensor]:
        """Pairs start, ..., start + n - 1: the flow's end in the model's units, and where it began."""
        teacher = self.teacher
        rows = Rows(seed, n, start, teacher.dtype, teacher.device)
        noise = teacher._prior(rows)
        u = self.flow.run(teacher, n, context=None, generator=rows, init=noise).samples
        x = teacher._to_data(u).to(model.device)
        return model._to_model(x, rows.spawn(1) if model.preprocess.random else None)[0], noise

    def _log_prior(self, noise: Tensor) -> Tensor:
        out: Tensor = self.teacher._log_prior(noise.to(self.teacher.device, self.teacher.dtype))
        return out.to(noise.device)

    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        first, count = self._range(model.training)
        index = first + generator.spawn(1).integers(count)
        t = self._draw_times(generator.spawn(0))
        u, target = path(model, self.data[index], self.noise[index], t)
        return self._regress(model, replace(batch, weight=None), u, target, t)  # weights of other rows than these

    def _range(self, training: bool) -> tuple[int, int]:
        """The first of the pairs to learn from, or of those that only evaluations see, and how many there are."""
        held_out = len(self.data) // 10
        kept = len(self.data) - held_out
        return (0, kept) if training or not held_out else (kept, held_out)


def straightness(model: Any, u: Tensor, eps: Tensor, times: int = 20) -> float:
    """E int |v(u_t, t) - (eps - u_0)|^2 dt / D over pairs (B, *U) of a flow's own ends, model units; 0: straight."""
    u = u.detach()
    with torch.no_grad():
        errors = [(model._velocity(*_at(u, eps, (k + 0.5) / times)) - (eps - u)).square().mean() for k in range(times)]
    return float(torch.stack(errors).mean())


def _at(u: Tensor, eps: Tensor, t: float) -> tuple[Tensor, Tensor]:
    return (1 - t) * u + t * eps, u.new_full((len(u),), t)
