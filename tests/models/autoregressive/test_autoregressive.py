"""The family's base on a model that writes `params` alone: the chain rule by hand, and draws step by step."""

import math

import pytest
import torch
from torch import nn

from fairway.core.event import Event
from fairway.core.random import Rows, seeded
from fairway.models.autoregressive.autoregressive import Autoregressive
from fairway.objectives.mle import MLE
from fairway.testing.statistics import ALARM, chi_square_p


class Linear(Autoregressive):
    """Every conditional linear in the features of the variables before it, and in the context."""

    def __init__(self, event, context_event=None, *, ordering="natural", components=None):
        super().__init__(event, context_event, ordering=ordering, components=components)
        inputs, outputs = self.dims * self.head.features, self.dims * self.head.params
        self.weight = nn.Parameter(torch.randn(self.dims, self.dims, self.head.params, self.head.features))
        self.bias = nn.Parameter(torch.randn(self.dims, self.head.params))
        self.lift = nn.Linear(self.context_dims, outputs, bias=False) if self.context_dims else None
        assert self.weight.numel() == inputs * outputs

    def params(self, u, context=None):
        features = self.head.embed(u.reshape(len(u), self.dims), self.dtype)
        weight = self.weight * self.ordering.before()[:, :, None, None]
        out = torch.einsum("bjf,ijpf->bip", features, weight) + self.bias
        return out if context is None else out + self.lift(context).reshape_as(out)


def build(*arguments, **options):
    with seeded(3):
        return Linear(*arguments, **options).eval()


def test_the_chain_rule_by_hand():
    """P(x) = prod_t P(x_o(t) | x_o(<t)) with one coin per variable."""
    model = build(Event((3,), "binary"), ordering=[2, 0, 1])
    x = torch.tensor([1, 0, 1])
    spin, w, b = 2.0 * x - 1, model.weight[..., 0, 0].detach(), model.bias[:, 0].detach()
    logits = torch.stack([b[2], b[0] + w[0, 2] * spin[2], b[1] + w[1, 2] * spin[2] + w[1, 0] * spin[0]])
    expected = sum(math.log(p) for p in torch.sigmoid(logits * spin[[2, 0, 1]]).tolist())
    assert float(model.log_prob(x).detach()) == pytest.approx(expected, rel=1e-5)


def test_naive_draws_fit_log_prob():
    model = build(Event((2, 2), "binary"), ordering="random")
    values = torch.cartesian_prod(*[torch.arange(2)] * 4).reshape(-1, 2, 2)
    with torch.no_grad():
        probability = model.log_prob(values).exp()
    assert float(probability.sum()) == pytest.approx(1, abs=1e-5)
    draws = model.sample(4000, generator=0).flatten(1) @ torch.tensor([8, 4, 2, 1])
    assert chi_square_p(draws.bincount(minlength=16), 4000 * probability) > ALARM


def test_the_naive_step_asks_for_one_variable_at_a_time():
    model = build(Event((3,), "integer", low=0, high=9), ordering=[1, 2, 0], components=1)
    u = torch.tensor([[4.0, 7.0, 0.0]])
    whole, state, previous = model.params(u), model.init_state(1), None
    for t, variable in enumerate(model.ordering.order):
        torch.testing.assert_close(model.step(state, previous), whole[:, variable])
        assert state.known == t + 1
        previous = u[:, variable]


def test_draws_are_a_function_of_the_uniforms():
    model = build(Event((4,), "category", levels=3))
    with torch.no_grad():
        assert torch.equal(model._sample(9, None, Rows(5, 9)), model._sample(9, None, Rows(5, 9)))
        assert torch.equal(model._sample(9, None, Rows(5, 9)), model._sample(99, None, Rows(5, 99))[:9])
        assert not torch.equal(model._sample(9, None, Rows(5, 9)), model._sample(9, None, Rows(6, 9)))


def test_contexts_enter_as_one_vector():
    model = build(Event((2,), "binary"), Event((2, 3)))
    assert model.context_dims == 6 and model.embed(torch.zeros(5, 2, 3)).shape == (5, 6)
    labels = build(Event((2,), "binary"), Event((), "category", levels=4))
    assert labels.context_dims == 4 and build(Event((2,))).context_dims == 0
    x = torch.tensor([0, 1]).expand(4, -1)
    assert len(labels.log_prob(x, torch.arange(4)).unique()) == 4


def test_counted_data_stay_counted_and_shift_to_zero():
    model = build(Event((2,), "integer", low=-3, high=4), components=2)
    assert model.model_event.low == 0 and model.likelihood == "exact"
    draws = model.sample(200, generator=1)
    assert draws.dtype == torch.int64 and int(draws.min()) >= -3 and int(draws.max()) <= 4
    values = torch.cartesian_prod(torch.arange(-3, 5), torch.arange(-3, 5))
    assert float(model.log_prob(values).detach().exp().sum()) == pytest.approx(1, abs=1e-4)


def test_a_step_per_variable_and_maximum_likelihood():
    model = build(Event((2, 3), "binary"))
    assert model.strokes == 6 and isinstance(model.default_objective(), MLE)


def test_refusals():
    with pytest.raises(ValueError, match=r"takes events of fixed length, got .*; pad or cut the sequences"):
        build(Event((None,), "tokens", levels=3))
    with pytest.raises(ValueError, match="expected an ordering of 2 variables, got one of 3"):
        build(Event((2,)), ordering=[0, 1, 2])
    with pytest.raises(ValueError, match=r"takes whole numbers of a known range, got .*; give low and high"):
        build(Event((2,), "integer"))
