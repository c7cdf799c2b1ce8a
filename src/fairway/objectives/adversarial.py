"""Learning by adversary: a critic d tells data from draws, the generator g moves where the critic points.

    min_d  E[critic(d(real), d(fake))] + w E[penalty(grad d)],        min_g  E[generator(d(fake), d(real))]

Who plays what are parts: a `Divergence` (two losses of raw logits, `critic_losses`), a `Penalty` on the critic's slope
(`critic_penalties`), views of what the critic is shown (`views`), and the phases: the critic moves `critic_steps` times
on fresh batches, then the generator once. Each player sees the other's output as a constant: fakes are detached in the
critic's phase, and the critic's weights are frozen in the generator's. Real and fake rows pass the critic together,
unless it norms over the batch. A penalty of every k-th step is k times as heavy and a move of its own (lazy
regularisation, Karras et al. 2020, StyleGAN2, section 3.1).

Objectives whose critic sees pairs, whose generator owes more than to please, or whose game differs are subclasses that
say so in `shown`, `owed` or `phases`.
"""

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from fairway.core.capability import HasDecoder
from fairway.core.objective import Batch, Loss, Objective, Optimisation, Phase
from fairway.core.random import Rows
from fairway.networks.critic import MLPCritic
from fairway.networks.joined import width
from fairway.objectives.critic_losses import DIVERGENCES, Divergence
from fairway.objectives.critic_penalties import PENALTIES, Penalty, between, logits_and_slopes, slopes
from fairway.objectives.views import View
from fairway.samplers.mcmc import frozen

RULES = ("alternating", "simultaneous", "extragradient")
SATURATED = 0.995  # share of pairs that a critic orders rightly, from which it teaches nothing more


class Shown(NamedTuple):
    """What the critic is shown: rows (B, *U) and what goes with them (B, ...)."""

    u: Tensor
    context: Tensor | None


class Adversarial(Objective):
    """A divergence, a penalty on the critic, and a critic that moves several times per step of the generator.

    It trains to the end of its schedule and keeps the averaged generator (`ema`). A distance on held-out rows jumps
    from one evaluation to the next: stopping by the sliced one left 66 % of the samples near a mode of a ring of eight
    Gaussians, training to the end 79 %. The learning rate, 4e-3 falling to 0, is for MLPs and short runs; the paper's
    1e-4 is for deep convolutions and days.

    Args:
        divergence: a name of DIVERGENCES, such as "wasserstein", "non_saturating", "relativistic", or an f-divergence.
        penalty: "gradient", "r1", "r2", "r1_r2", "none"; "clip" holds every weight of the critic within +- `weight`.
        weight: of the penalty; a pair (first, last) falls from one to the other along half a cosine.
        every: the penalty in every so many-th step, as many times as heavy.
        critic_steps: the critic's moves, each on a fresh batch, before the generator's one.
        critic_hidden: widths of the default critic; None for the model's own choice.
        views: what is done to real and fake rows alike before the critic sees them; see `views`.
        rule: "alternating"; "simultaneous" and "extragradient" compute the moves of both players first.
        monitor: a metric's name ("coverage", "sliced_wasserstein") by which the best weights are kept; None for the
            last ones.
        critic: your own (u, context) -> (B,) logits, or (B, ...) of patches, u in model units; None for the model's.
    """

    requires = (HasDecoder,)
    monitor: str | None = None  # type: ignore[misc]
    optimisation: Optimisation = Optimisation(lr=4e-3, betas=(0.0, 0.9), clip=None, ema=0.995)  # type: ignore[misc]
    batch_size = 64
    watched: ClassVar[str | None] = "coverage"
    shown_in_progress: ClassVar[tuple[str, ...]] = ("accuracy", "uncovered")
    stops_early: ClassVar[bool] = False

    def __init__(
        self,
        divergence: str = "wasserstein",
        penalty: str = "gradient",
        weight: float | Sequence[float] = 10.0,
        every: int = 1,
        critic_steps: int = 5,
        critic_hidden: Sequence[int] | None = None,
        views: Sequence[nn.Module] = (),
        rule: str = "alternating",
        monitor: str | None = None,
        critic: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.divergence: Divergence = _named(DIVERGENCES, divergence, "divergence")
        self.penalty: Penalty = _named(PENALTIES, penalty, "penalty")
        self.rule: str = _named(dict(zip(RULES, RULES, strict=True)), rule, "rule")
        if rule != "alternating" and (critic_steps, every) != (1, 1):  # one gradient for each player
            raise ValueError(f"expected critic_steps=1 and every=1 with rule={rule!r}, got {critic_steps} and {every}")
        self.every, self.critic_steps, self.monitor = every, critic_steps, monitor
        self.ends = _ends(weight)
        if isinstance(weight, int | float):
            self.weight: float | Tensor = weight
        else:  # a tensor, so that a compiled step need not be made anew when it changes
            self.register_buffer("weight", torch.tensor(self.ends[0]), persistent=False)
        self.critic_hidden, self.critic = None if critic_hidden is None else tuple(critic_hidden), critic
        self.views = nn.ModuleList(deepcopy(view) for view in views)  # what they remember is of this run
        self._norms: bool | None = None  # found when first asked, as a walk through the modules takes long

    def reach(self, share: float) -> None:
        if isinstance(self.weight, Tensor):
            first, last = self.ends
            self.weight.fill_(last + (first - last) * 0.5 * (1 + math.cos(math.pi * share)))

    # -- who plays ----------------------------------------------------------------------------------------------
    def setup(self, model: Any) -> None:
        self.optimisation = getattr(model, "optimisation", self.optimisation)  # both players move alike
        if self.critic is None:
            self.critic = self.default_critic(model)

    def default_critic(self, model: Any) -> nn.Module:
        """The critic that the model proposes for what it is shown; a perceptron where it proposes none."""
        own = getattr(model, "default_critic", None)
        if own is not None:
            critic: nn.Module = own(self.critic_hidden, self.context_dims(model))
            return critic
        return MLPCritic(model.model_event.dims + self.context_dims(model), self.critic_hidden or (128, 128, 128))

    def context_dims(self, model: Any) -> int:
        """Entries of what the critic is shown beside a row."""
        return 0 if model.context_preprocess is None else width(model.context_preprocess.model_event)

    def phases(self, model: Any) -> tuple[Phase, ...]:
        costs = self.penalty.at not in ("none", "weights")
        lazy = (Phase("critic", every=self.every),) if self.every > 1 and costs else ()
        return (Phase("critic", times=self.critic_steps, after=self._clip), *lazy, Phase("model"))

    def steps_of(self, model: Any) -> int | None:
        return getattr(model, "steps", None)

    def batch_size_of(self, model: Any) -> int:
        return getattr(model, "batch_size", None) or self.batch_size

    def players(self, model: Any) -> dict[str, nn.Module]:
        if self.critic is None:
            raise ValueError("expected a critic: call setup(model) first")
        return {"model": model, "critic": self.critic}

    @property
    def _clip(self) -> Callable[[Any], None] | None:
        """What is done to the critic after its move."""
        return self._clamp if self.penalty.at == "weights" else None

    @torch.no_grad()
    def _clamp(self, model: Any) -> None:
        assert self.critic is not None
        bound = float(self.weight)
        torch._foreach_clamp_min_(list(self.critic.parameters()), -bound)
        torch._foreach_clamp_max_(list(self.critic.parameters()), bound)

    # -- what they play -----------------------------------------------------------------------------------------
    def shown(self, batch: Batch, model: Any, noise: Tensor) -> tuple[Shown, Shown]:
        """What the critic is shown of the data, and of the generator."""
        return Shown(batch.u, batch.context), Shown(model._decode(noise, batch.context), batch.context)

    def owed(self, batch: Batch, model: Any, fake: Shown) -> dict[str, Tensor]:
        """What the generator owes besides pleasing the critic: named costs, summed."""
        return {}

    def loss(self, batch: Batch, model: Any, *, phase: Phase, generator: Rows) -> Loss:
        noise = generator.normal(*model.latent_event.shape)
        if phase.player == "model":
            return self.generator_loss(batch, model, noise, generator)
        with torch.no_grad():
            real, fake = (_constant(side) for side in self.shown(batch, model, noise))
        real, fake = self._viewed(real, fake, generator)
        uniforms = self.uniforms(generator.spawn(1))
        if phase.every > 1:
            _, _, penalty = self._penalised(real, fake, uniforms)
            cost = batch.mean(penalty)
            return Loss(self.weight * self.every * cost, {"penalty": cost})
        return self.critic_loss(batch, real, fake, uniforms)

    def uniforms(self, rows: Rows) -> Tensor | None:
        """(B,) in [0, 1), where a penalty between the rows asks where."""
        return rows.uniform() if self.penalty.at == "between" else None

    def critic_loss(self, batch: Batch, real: Shown, fake: Shown, uniforms: Tensor | None) -> Loss:
        """The critic's loss on what it is shown, detached; uniforms (B,) for a penalty between."""
        if self.every > 1 or self.penalty.at in ("none", "weights"):
            real_logit, fake_logit = self.logits(real, fake)
            penalty = None
        else:
            real_logit, fake_logit, penalty = self._penalised(real, fake, uniforms)
        for view in self.views:
            if isinstance(view, View):
                view.observe(real_logit.detach())
        loss = batch.mean(per_row(self.divergence.critic(real_logit, fake_logit)))
        gap = per_row(real_logit.detach() - fake_logit.detach())
        terms = {"critic": loss, "gap": batch.mean(gap), "accuracy": batch.mean((gap > 0).to(gap.dtype))}
        if penalty is None:
            return Loss(loss, terms)
        cost = batch.mean(penalty)
        return Loss(loss + self.weight * cost, {**terms, "penalty": cost})

    def generator_loss(self, batch: Batch, model: Any, noise: Tensor, generator: Rows) -> Loss:
        """What the critic makes of the fakes, and what else is owed."""
        real, fake = self.shown(batch, model, noise)
        real, seen = self._viewed(real, fake, generator)
        with frozen(self.critic):  # type: ignore[arg-type]
            loss = self.pleased(batch, real, seen)
        owed = self.owed(batch, model, fake)
        return Loss(loss + sum(owed.values()), {"generator": loss, **owed})

    def pleased(self, batch: Batch, real: Shown, fake: Shown) -> Tensor:
        """The generator's loss by a critic that stands still; nothing goes back through data that owe it nothing."""
        critic: Any = self.critic
        if not self.divergence.both:
            logit = critic(*fake)
            return batch.mean(per_row(self.divergence.generator(logit, logit)))
        with torch.set_grad_enabled(any(part is not None and part.requires_grad for part in real)):
            real_logit = critic(*real)
        return batch.mean(per_row(self.divergence.generator(critic(*fake), real_logit)))

    def diagnose(self, means: dict[str, float]) -> str | None:
        if means.get("accuracy", 0.0) < SATURATED:
            return None
        return (
            f"the critic tells {100 * means['accuracy']:.1f} % of the draws from data, so the generator hardly learns: "
            "try penalty='r1_r2' or 'gradient' with a larger weight, fewer critic_steps, or views=(InstanceNoise(),)"
        )

    # -- what the critic says -------------------------------------------------------------------------------------
    @property
    def _together(self) -> bool:
        """Whether real and fake rows may pass together: nothing in the critic looks across the batch."""
        if self._norms is None:
            assert self.critic is not None
            self._norms = any(
                isinstance(part, nn.modules.batchnorm._BatchNorm) or getattr(part, "mixes_rows", False)
                for part in self.critic.modules()
            )
        return not self._norms

    def logits(self, real: Shown, fake: Shown) -> tuple[Tensor, Tensor]:
        """The critic's answers, (B,) each or (B, ...) of patches; one pass over both where rows do not mix."""
        if not self._together:
            return self.critic(*real), self.critic(*fake)  # type: ignore[misc]
        logits = self.critic(*_both(real, fake))  # type: ignore[misc]
        return _halves(logits)

    def _penalised(self, real: Shown, fake: Shown, uniforms: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """The answers, and the penalty (B,)."""
        critic: Any = self.critic
        if self.penalty.at == "both" and self._together:
            logits, slope = logits_and_slopes(critic, *_both(real, fake))
            return *_halves(logits), self.penalty.cost(slope).unflatten(0, (2, -1)).sum(0)
        if self.penalty.at in ("real", "fake", "both"):
            answers, costs = [], []
            for side, name in ((real, "real"), (fake, "fake")):
                if self.penalty.at not in (name, "both"):
                    answers.append(critic(*side))
                    continue
                logit, slope = logits_and_slopes(critic, *side)
                answers.append(logit)
                costs.append(self.penalty.cost(slope))
            return answers[0], answers[1], torch.stack(costs).sum(0)
        assert uniforms is not None
        point = between(real.u, fake.u, uniforms)
        return *self.logits(real, fake), self.penalty.cost(slopes(critic, point, real.context))

    def _viewed(self, real: Shown, fake: Shown, generator: Rows) -> tuple[Shown, Shown]:
        """Both sides through the views, each with noise of its own."""
        for number, view in enumerate(self.views):
            real = real._replace(u=view(real.u, generator.spawn(2, number)))
            fake = fake._replace(u=view(fake.u, generator.spawn(3, number)))
        return real, fake


def _ends(weight: float | Sequence[float]) -> tuple[float, float]:
    """A weight's first and last value."""
    ends = (weight, weight) if isinstance(weight, int | float) else tuple(map(float, weight))
    if len(ends) != 2 or min(ends) < 0:
        raise ValueError(f"expected weight as a number of at least 0, or a pair (first, last) of them, got {weight}")
    return ends[0], ends[1]


def per_row(x: Tensor) -> Tensor:
    """(B, ...) -> (B,): the mean over patches."""
    return x.flatten(1).mean(1) if x.ndim > 1 else x


def _constant(side: Shown) -> Shown:
    """Without gradient."""
    return Shown(side.u.detach(), None if side.context is None else side.context.detach())


def _both(real: Shown, fake: Shown) -> tuple[Tensor, Tensor | None]:
    """Both sides one after the other."""
    if real.context is None or fake.context is None:
        return torch.cat([real.u, fake.u]), None
    return torch.cat([real.u, fake.u]), torch.cat([real.context, fake.context])


def _halves(logits: Tensor) -> tuple[Tensor, Tensor]:
    """(2 B, ...) -> (B, ...) of each side."""
    real, fake = logits.unflatten(0, (2, -1)).unbind()
    return real, fake


def _named(table: dict[str, Any], name: str, what: str) -> Any:
    if name not in table:
        raise ValueError(f"expected {what} among {', '.join(table)}; got {name!r}")
    return table[name]
