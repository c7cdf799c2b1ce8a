"""A step of an adversarial fit against torchgan's trainer, and what penalties cost. One process, one thread, CPU time.

Both sides train the very same networks, torchgan's DCGAN pair for 32 x 32 x 3 images, on batches of 64 with the
non-saturating loss and Adam: one move of the critic, one of the generator. First the losses of both on the same images
and the same noise are compared. Ours runs as `fit` does by default (products in bfloat16 where the processor
multiplies it), and in float32. Where the time goes: theirs asks for the critic's weight gradients while the generator
moves, walks through all gradients for its logger and waits for `loss.item()`; channels lie last in memory here.

Penalties, on the library's own pair without batch norm (`r3gan`): R1 + R2 at every step and at every sixteenth, over
none. Medians of alternating repeats.

Writes benchmarks/results/gan.json; exits 1 under a goal.

    .venv-bench/bin/python benchmarks/gan.py        about four minutes on one core
"""

import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import _diffusion_peers  # noqa: F401  torchvision beside another build of torch
import _record
import torch
from torch import Tensor, nn

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.gan.image_generator import ImageGenerator
from fairway.models.gan.r3gan import R3GAN
from fairway.objectives.adversarial import Adversarial
from fairway.training.fit import loop

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torchgan.losses import MinimaxDiscriminatorLoss, MinimaxGeneratorLoss
    from torchgan.models import DCGANDiscriminator, DCGANGenerator
    from torchgan.trainer import Trainer

torch.set_num_threads(1)
BATCH, LATENT, REPEATS, STEPS, LR = 64, 100, 7, 4, 2e-4
EVENT = Event((3, 32, 32), "bounded", low=-1.0, high=1.0)
GOALS = {"step, as by default": 1.4, "R1 + R2 at every step": 1.5, "R1 + R2 at every 16th step": 1.2}


class Logits(nn.Module):
    """torchgan's discriminator as a critic: (u, context) -> (B,)."""

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, u: Tensor, context: Tensor | None = None) -> Tensor:
        out: Tensor = self.discriminator(u)
        return out


class Theirs(ImageGenerator):
    """Our model around torchgan's generator."""

    def _network(self) -> nn.Module:
        network: nn.Module = DCGANGenerator(LATENT, 32, 3, 64)
        return network

    def _decode(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        made: Tensor = self.network(z)
        return made.to(z.dtype)


def images() -> Tensor:
    """(B, 3, 32, 32) in [-1, 1]."""
    return 2 * torch.rand(BATCH, 3, 32, 32, generator=torch.Generator().manual_seed(0)) - 1


def ours() -> tuple[Theirs, Adversarial]:
    """Model and objective with torchgan's networks, always the same."""
    with seeded(0):
        model = Theirs(EVENT, latent=LATENT)
        critic = Logits(DCGANDiscriminator(32, 3, 64, last_nonlinearity=nn.Identity()))
    return model, Adversarial("non_saturating", "none", critic_steps=1, critic=critic)


def check() -> float:
    """The largest difference between both losses of both players on the same images and noise."""
    model, objective = ours()
    objective.setup(model)
    real, noise = images(), Rows(0, BATCH).normal(LATENT)
    generator, discriminator = model.network, objective.critic.discriminator  # type: ignore[union-attr]
    fake = generator(noise)
    theirs = {
        "critic": MinimaxDiscriminatorLoss()(discriminator(real), discriminator(fake.detach())),
        "model": MinimaxGeneratorLoss()(discriminator(fake)),
    }
    off = 0.0
    for player, value in theirs.items():
        mine = objective.loss(Batch(real), model, phase=Phase(player), generator=Rows(0, BATCH)).total
        off = max(off, float((mine - value).detach().abs()))
    return off


def our_steps(model: Any, objective: Adversarial, precision: str) -> Iterator[None]:
    """A fit, step by step."""
    data = images()
    for _ in loop(
        model, data, objective=objective, preprocess=False, validation=0, steps=10**6, batch_size=BATCH, lr=LR,
        compile="off", precision=precision, checkpoint_every=10**6,
    ):  # fmt: skip
        yield


def their_steps() -> Iterator[None]:
    """torchgan's trainer, iteration by iteration."""
    with seeded(0), tempfile.TemporaryDirectory() as folder:
        optimiser = {"name": torch.optim.Adam, "args": {"lr": LR, "betas": (0.5, 0.999)}}
        networks = {
            "generator": {"name": DCGANGenerator, "args": {"encoding_dims": LATENT}, "optimizer": optimiser},
            "discriminator": {
                "name": DCGANDiscriminator, "args": {"last_nonlinearity": nn.Identity()}, "optimizer": optimiser
            },
        }  # fmt: skip
        trainer = Trainer(
            networks, [MinimaxGeneratorLoss(), MinimaxDiscriminatorLoss()], device=torch.device("cpu"),
            checkpoints=f"{folder}/", recon=folder, sample_size=BATCH,
        )  # fmt: skip
        trainer.batch_size, trainer.real_inputs, trainer.labels = BATCH, images(), None
        while True:
            trainer.train_iter()
            yield


def milliseconds(sides: dict[str, Iterator[None]]) -> dict[str, list[float]]:
    """CPU time of a step of each side, `REPEATS` times in turn."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for steps in sides.values():
        next(steps), next(steps)
    for _ in range(REPEATS):
        for name, steps in sides.items():
            began = time.process_time()
            for _ in range(STEPS):
                next(steps)
            found[name].append(1e3 * (time.process_time() - began) / STEPS)
    return found


def penalised(penalty: str, every: int = 1) -> Iterator[None]:
    """Our own pair under a penalty."""
    with seeded(0):
        model = R3GAN(EVENT, latent=LATENT)
    objective = Adversarial("relativistic", penalty, weight=1.0, every=every, critic_steps=1)
    steps = our_steps(model, objective, "auto")

    def sixteen() -> Iterator[None]:
        while True:
            for _ in range(every):
                next(steps)
            yield

    return sixteen()


def main() -> int:
    """Check, measure, write, judge."""
    began = time.perf_counter()
    off = check()
    print(f"losses differ by {off:.1e}")
    if off > 1e-5:
        return 1
    sides: dict[str, Callable[[], Iterator[None]]] = {
        "fairway": lambda: our_steps(*ours(), "auto"),
        "fairway, float32": lambda: our_steps(*ours(), "float32"),
        "torchgan": their_steps,
    }
    steps = milliseconds({name: make() for name, make in sides.items()})
    costs = milliseconds(
        {"none": penalised("none"), "R1 + R2": penalised("r1_r2"), "R1 + R2, 16 steps": penalised("r1_r2", 16)}
    )
    ms = {name: round(statistics.median(values), 2) for name, values in {**steps, **costs}.items()}
    ms["R1 + R2, lazy"] = round(ms.pop("R1 + R2, 16 steps") / 16, 2)
    ratios = {
        "step, as by default": ms["torchgan"] / ms["fairway"],
        "step, float32": ms["torchgan"] / ms["fairway, float32"],
        "R1 + R2 at every step": ms["R1 + R2"] / ms["none"],
        "R1 + R2 at every 16th step": ms["R1 + R2, lazy"] / ms["none"],
    }
    goals = [
        {"what": what, "times": round(ratios[what], 2), "goal": goal, "ok": held(what, ratios[what], goal)}
        for what, goal in GOALS.items()
    ]
    from importlib.metadata import version

    print(ms, {k: round(v, 2) for k, v in ratios.items()})
    _record.write(
        "gan", began, {"losses_differ_by": off, "ms": ms, "times": {k: round(v, 2) for k, v in ratios.items()},
                       "goals": goals, "batch": BATCH, "peers": {"torchgan": version("torchgan")}},
    )  # fmt: skip
    for goal in goals:
        print(goal)
    return int(not all(goal["ok"] for goal in goals))


def held(what: str, value: float, goal: float) -> bool:
    """Speed is to be above its goal, a cost below it."""
    return value >= goal if what.startswith("step") else value <= goal


if __name__ == "__main__":
    sys.exit(main())
