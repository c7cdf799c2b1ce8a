"""Clauses on learning: the loss reaches every parameter, and a run that was cut short goes on as if it had not been.

    eight steps  =  four steps, a checkpoint, another process, four steps         bit for bit

All that an objective remembers (critics, replay buffers, averages) is therefore a buffer or a parameter.
"""

import tempfile
from typing import Any

import torch

from fairway.core.objective import Objective
from fairway.testing.check import check, expect, expect_close
from fairway.testing.configuration import named
from fairway.testing.subject import Subject, build


@check(lambda model: isinstance(model.default_objective(), Objective), states=("trained",))
def every_parameter_learns(s: Subject) -> None:
    start = dict(build(type(s.model), s.case).named_parameters())
    for name, parameter in s.model.named_parameters():
        expect(torch.isfinite(parameter).all(), f"{name} is not finite after training")
        moved = (parameter.detach().float() != start[name].detach().float()).any()
        expect(moved or not parameter.requires_grad, f"{name} never moved: does the loss reach it?")


class _Interrupted(Exception):
    """The power failed."""


@check(states=("redrawn",))
def training_resumes(s: Subject) -> None:
    from fairway.training import checkpoint
    from fairway.training.callbacks import Callback

    class CutAt4(Callback):
        def on_step(self, run: Any) -> None:
            if run.step == 4:
                checkpoint.write(run.out, run.state())
                raise _Interrupted

    with named(type(s.model)), tempfile.TemporaryDirectory() as folder:
        whole = _eight_steps(s, out=f"{folder}/whole")
        try:
            resumed = _eight_steps(s, out=f"{folder}/cut", callbacks=(CutAt4(),))  # a solver may be done by then
        except _Interrupted:
            resumed = _eight_steps(s, out=f"{folder}/cut", resume=True)
    for name, tensor in whole.state_dict().items():
        expect_close(resumed.state_dict()[name], tensor, f"{name} after 4 + 4 steps", rtol=0, atol=0)


def _eight_steps(s: Subject, **options: Any) -> Any:
    from fairway.training.fit import fit

    model, (x, context) = build(type(s.model), s.case), s.rows(64)
    return fit(model, x, context=context, steps=8, batch_size=32, validation=0, seed=0, progress=False, **options)


CHECKS = [every_parameter_learns, training_resumes]
