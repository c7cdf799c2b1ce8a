"""The sum of a classifier's loss and the chains' on the marginal, each with the gradient it should have."""

import pytest
import torch
import torch.nn.functional as F

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.energy.energy import EBM
from fairway.models.energy.joint import Joint
from fairway.objectives.joint_energy import JointEnergy
from fairway.objectives.persistent import PersistentContrastiveDivergence

CLASSES = Event((), "category", levels=3)


def loss_of(objective, model, batch):
    objective.setup(model)
    return objective.loss(batch, model, phase=Phase(), generator=Rows(3, len(batch)))


@pytest.fixture
def model():
    with seeded(0):
        return Joint(Event((2,)), CLASSES, hidden=(8,))


@pytest.fixture
def batch():
    return Batch(Rows(1, 32).normal(2), torch.eye(3)[Rows(2, 32).integers(3)])


def test_it_is_the_cross_entropy_per_entry_on_top_of_the_marginal_s_contrast(model, batch):
    found = loss_of(JointEnergy(weight=0.5, chains=64), model, batch)
    contrast = loss_of(PersistentContrastiveDivergence(chains=64), model, batch.with_context(None))
    cross_entropy = F.cross_entropy(model.network(batch.u), batch.context.argmax(1))
    torch.testing.assert_close(found.terms["cross_entropy"], cross_entropy)
    torch.testing.assert_close(found.total, contrast.total + 0.5 * cross_entropy / 2)


def test_without_weight_on_the_class_labels_do_not_matter(model, batch):
    shuffled = batch.with_context(batch.context.flip(0))
    gradients = []
    for rows in (batch, shuffled):
        total = loss_of(JointEnergy(weight=0.0, chains=64), model, rows).total
        gradients.append(torch.autograd.grad(total, list(model.parameters())))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_models_without_classes_are_refused():
    with pytest.raises(TypeError, match="logits of classes"):
        JointEnergy().check(EBM(Event((2,))))
    with pytest.raises(ValueError, match="weight"):
        JointEnergy(weight=-1.0)
