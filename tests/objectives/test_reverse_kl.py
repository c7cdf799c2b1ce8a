import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.numerics import standard_normal_log_prob
from fairway.core.objective import Batch, Phase
from fairway.core.random import Rows, seeded
from fairway.models.flow.real_nvp import RealNVP
from fairway.models.latent.vae import VAE
from fairway.objectives.reverse_kl import ReverseKL


def narrow(u):
    """N(0, 1/4 I) times e^5."""
    return standard_normal_log_prob(2 * u) + 2 * torch.tensor(2.0).log() + 5


@pytest.fixture
def model():
    with seeded(0):
        return RealNVP(Event((2,)), transforms=2, hidden=(8,)).eval()  # as built it is N(0, I)


def loss(objective, model, n=20_000):
    return objective.loss(Batch(torch.zeros(n, 2)), model, phase=Phase(), generator=Rows(0, n))


def test_it_is_the_divergence_less_log_z_per_entry(model):
    divergence = 2 * (4 / 2 - 0.5 - torch.tensor(2.0).log())
    assert float(loss(ReverseKL(narrow), model).total.detach()) == pytest.approx((float(divergence) - 5) / 2, abs=0.02)


def test_the_gradient_reaches_the_model_through_the_draws(model):
    loss(ReverseKL(narrow), model, 4000).total.backward()
    scale = [c.conditioner.last.bias.grad for c in model.modules() if hasattr(c, "conditioner")]
    assert all(g is not None and g[0] < -0.1 for g in scale)  # a larger scale towards the latent: narrower draws


def test_the_warm_up_heats_the_target_in_training_only(model):
    objective = ReverseKL(narrow, warm_up=4)
    (phase,), seen = objective.phases(model), []
    for _ in range(6):
        seen.append(round(float(objective.beta(training=True)), 2))
        phase.after(model)
    assert seen == [0.01, 0.26, 0.51, 0.76, 1.0, 1.0] and objective.beta(training=False) == 1
    assert "steps" in objective.state_dict()
    fresh = ReverseKL(narrow, warm_up=4)
    hot, terms = loss(fresh, model.train(), 100)
    torch.testing.assert_close(hot, terms["log_q"] + 0.01 * terms["minus_log_target"])


def test_a_target_is_wanted_and_one_number_per_draw(model):
    with pytest.raises(ValueError, match="expected target=FUNCTION"):
        ReverseKL().check(model)
    with pytest.raises(ValueError, match=r"of shape \(5,\), got \(5, 2\)"):
        loss(ReverseKL(lambda u: u), model, 5)
    with pytest.raises(ValueError, match="warm_up >= 0"):
        ReverseKL(narrow, warm_up=-1)


def test_the_model_must_draw_with_a_gradient():
    with pytest.raises(CapabilityError, match="the objective reverse_kl needs a model that answers"):
        ReverseKL(narrow).check(VAE(Event((2,)), latent=2, hidden=(8,)))
