"""A run that forgets what its objective remembered does not resume, and is found out."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.model import Case
from fairway.core.objective import Loss, Objective
from fairway.models.flow.real_nvp import RealNVP
from fairway.testing import ContractError
from fairway.testing.learning import every_parameter_learns, training_resumes

CASE = Case(Event((2,)), None, {"transforms": 1, "hidden": (4,)})


class Forgetful(Objective):
    """Counts its calls in a plain attribute, which no checkpoint holds."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def loss(self, batch, model, *, phase, generator):
        self.calls += 1
        return Loss(-self.calls * model._log_prob(batch.u).mean())


class Remembers(Objective):
    """Counts them in a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def loss(self, batch, model, *, phase, generator):
        self.calls += 1
        return Loss(-self.calls * model._log_prob(batch.u).mean())


class WithForgetful(RealNVP):
    cites = ("nobody2000",)

    def default_objective(self):
        return Forgetful()


class WithMemory(RealNVP):
    cites = ("nobody2000",)

    def default_objective(self):
        return Remembers()


class HalfFrozen(RealNVP):
    """Its second half never moves."""

    def _log_prob(self, u, context=None):
        return super()._log_prob(u[:1].detach().expand_as(u)).detach() + self.log_scale * u.sum(1)

    def __init__(self, event, context_event=None, *, transforms=1, hidden=(4,)):
        super().__init__(event, context_event, transforms=transforms, hidden=hidden)
        self.log_scale = torch.nn.Parameter(torch.zeros(()))


def test_memory_in_a_buffer_resumes():
    training_resumes(WithMemory, CASE)


def test_memory_in_an_attribute_is_found_out():
    with pytest.raises(ContractError, match=r"training_resumes: .*after 4 \+ 4 steps"):
        training_resumes(WithForgetful, CASE)


def test_parameters_without_a_gradient_are_found_out():
    with pytest.raises(ContractError, match="never moved: does the loss reach it"):
        every_parameter_learns(HalfFrozen, CASE)
