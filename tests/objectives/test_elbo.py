import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.latent.vae import VAE
from fairway.objectives.elbo import ELBO


@pytest.fixture
def model():
    with seeded(0):
        return VAE(Event((3,)), latent=2, hidden=(8,)).eval()


def loss(objective, model, batch, seed=0):
    return objective.loss(batch, model, phase=Phase(), generator=Rows(seed, len(batch)))


def test_at_beta_one_it_is_minus_the_bound_per_entry(model):
    u = Rows(1, 10).normal(3)
    costs = model._bound_terms(u, None, Rows(0, 10))
    got = loss(ELBO(), model, Batch(u))
    torch.testing.assert_close(got.total, sum(costs.values()).mean() / 3)
    assert set(got.terms) == {"reconstruction", "kl"}


def test_beta_weighs_the_kl_alone_and_leaves_the_bound(model):
    u = Rows(1, 10).normal(3)
    one, four = loss(ELBO(), model, Batch(u)), loss(ELBO(beta=4.0), model, Batch(u))
    torch.testing.assert_close(four.total - one.total, 3 * one.terms["kl"])
    torch.testing.assert_close(four.terms["kl"], one.terms["kl"])


def test_rows_count_by_their_weight(model):
    u = Rows(1, 2).normal(3)
    weighted = loss(ELBO(), model, Batch(u, weight=torch.tensor([3.0, 1.0])))
    costs = sum(model._bound_terms(u, None, Rows(0, 2)).values()) / 3
    torch.testing.assert_close(weighted.total, (3 * costs[0] + costs[1]) / 4)


def test_warm_up_grows_with_the_steps_in_training_only(model):
    objective, seen = ELBO(beta=2.0, warm_up=4), []
    (phase,) = objective.phases(model)
    for _ in range(6):
        seen.append(float(objective.weights(training=True)["kl"]))
        phase.after(model)
    assert seen == [0, 0.5, 1, 1.5, 2, 2]
    assert ELBO(beta=2.0, warm_up=4).weights(training=False)["kl"] == 2
    assert "steps" in objective.state_dict()  # a resumed run goes on where it was


def test_a_model_that_starts_from_data_sees_some_rows(model):
    seen, u = [], Rows(1, 10).normal(3)
    ELBO().start(model, u)
    object.__setattr__(model, "_start", seen.append)
    ELBO().start(model, u)
    assert len(seen) == 1 and seen[0] is u


def test_it_asks_for_a_bound(model):
    ELBO().check(model)
    with pytest.raises(ValueError, match="expected beta >= 0"):
        ELBO(beta=-1)
