"""The absolute error in model units, beside an adversary that sees the pair."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.gan.generator import Generator
from fairway.models.gan.pix2pix import Pix2Pix
from fairway.objectives.adversarial import Adversarial
from fairway.objectives.paired import Paired

MODEL, CRITIC = Phase("model"), Phase("critic")


class Spy(torch.nn.Module):
    """Says nothing, and remembers what it was shown."""

    def __init__(self):
        super().__init__()
        self.silent, self.seen = torch.nn.Parameter(torch.zeros(())), []

    def forward(self, u, context=None):
        self.seen.append((u, context))
        return self.silent * u.flatten(1).mean(1)


class Constant(torch.nn.Module):
    """A generator with one answer."""

    def __init__(self, shape):
        super().__init__()
        self.value = torch.nn.Parameter(torch.zeros(shape))

    def forward(self, image, z=None):
        return self.value.expand(len(image), *self.value.shape)


@pytest.fixture
def model():
    event = Event((3, 4, 4), "bounded", low=0.0, high=1.0)
    with seeded(0):
        return Pix2Pix(event, Event((4, 4)), latent=2, hidden=(4,))


def batch(n=8):
    return Batch(Rows(1, n).uniform(3, 4, 4), Rows(2, n).normal(4, 4))


def test_what_is_owed_is_lambda_times_the_mean_error_of_an_entry(model):
    rows = batch()
    terms = Paired(reconstruction=30.0, critic=Spy()).loss(rows, model, phase=MODEL, generator=Rows(0, 8)).terms
    fake = model._decode(Rows(0, 8).normal(2), rows.context)
    torch.testing.assert_close(terms["reconstruction"], 30 * (fake - rows.u).abs().mean())


def test_rows_count_by_their_weight(model):
    rows, weight = batch(2), torch.tensor([3.0, 1.0])
    weighted = Batch(rows.u, rows.context, weight=weight)
    got = Paired(1.0, critic=Spy()).loss(weighted, model, phase=MODEL, generator=Rows(0, 2))
    error = (model._decode(Rows(0, 2).normal(2), rows.context) - rows.u).abs().mean((1, 2, 3))
    torch.testing.assert_close(got.terms["reconstruction"], (weight * error).sum() / 4)


def test_its_best_answer_alone_is_the_median(model):
    """Entries are 0 in two rows of three and 0.9 in the third: the mean would be 0.3."""
    model.network = Constant((3, 4, 4))
    u = torch.zeros(30, 3, 4, 4)
    u[::3] = 0.9
    rows, objective = Batch(u, torch.zeros(30, 4, 4)), Paired(critic=Spy())
    model.network.value.data.fill_(0.3)
    optimiser = torch.optim.SGD(model.network.parameters(), lr=5e-3)
    for step in range(150):
        optimiser.zero_grad()
        objective.loss(rows, model, phase=MODEL, generator=Rows(step, 30)).total.backward()
        optimiser.step()
    assert model.network.value.abs().max() < 0.02


def test_the_critic_is_shown_the_image_and_the_one_it_goes_with(model):
    spy, rows = Spy(), batch()
    Paired(critic=spy).loss(rows, model, phase=CRITIC, generator=Rows(0, 8))
    (u, context) = spy.seen[0]
    torch.testing.assert_close(u[:8], rows.u)
    torch.testing.assert_close(context, torch.cat([rows.context, rows.context]))


def test_one_move_each_and_the_critic_of_the_model(model):
    objective = Paired(critic_hidden=(6,))
    objective.setup(model)
    assert [(p.player, p.times) for p in objective.phases(model)] == [("critic", 1), ("model", 1)]
    logits = objective.critic(torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4))
    assert logits.shape == (2, 2, 2) and isinstance(objective, Adversarial)


def test_a_sure_critic_is_no_reason_to_worry_where_an_error_teaches():
    sure = {"accuracy": 1.0}
    assert Paired().diagnose(sure) is None
    assert "hardly learns" in Paired(reconstruction=0.0).diagnose(sure)


def test_errors(model):
    Paired().check(model)
    with pytest.raises(ValueError, match="paired learns from pairs: wgan_gp has no context; pass context="):
        from fairway.models.gan.wgan_gp import WGANGP

        Paired().check(WGANGP(Event((2,))))
    with pytest.raises(ValueError, match="expected reconstruction as a weight of at least 0, got -1"):
        Paired(reconstruction=-1.0)
    Paired().check(Generator(Event((2,)), Event((1,))))  # tables pair up, too
