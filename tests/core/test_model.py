"""The public side of a model: units, leading dims, batches, refusals, and what it may be asked."""

import math

import pytest
import torch
from torch import nn

from fairway.core.capability import (
    CapabilityError,
    HasBound,
    HasConditional,
    HasLogProb,
    HasReparameterised,
    HasSample,
    HasScore,
)
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.numerics import event_sum, standard_normal_log_prob
from fairway.core.preprocessing import Identity, Levels, Standardise
from fairway.core.random import Rows


class Uniform(HasLogProb, HasSample, Model):
    """Uniform density on [0, 256)^E in data units."""

    def preprocessing(self, event):
        return Identity(event)

    def _log_prob(self, u, context=None):
        inside = ((u >= 0) & (u < 256)).flatten(1).all(1)
        return torch.where(inside, torch.full_like(u[:, 0, 0], -self.event.dims * math.log(256)), -math.inf)

    def _sample(self, n, context, rows):
        return 256 * rows.uniform(*self.event.shape)


class Normal(HasLogProb, HasReparameterised, HasConditional, HasSample, Model):
    """N(shift + context, I) in model units."""

    accepts_context = ("real", "category")

    def __init__(self, event, context_event=None):
        super().__init__(event, context_event)
        self.shift = nn.Parameter(torch.zeros(()))

    def _centred(self, u, context):
        return u - self.shift - (0 if context is None else context.flatten(1).mean(1).reshape(-1, *[1] * (u.ndim - 1)))

    def _log_prob(self, u, context=None):
        return standard_normal_log_prob(self._centred(u, context))

    def _sample(self, n, context, rows):
        return self._rsample_and_log_prob(n, context, rows)[0]

    def _rsample_and_log_prob(self, n, context, rows):
        z = rows.normal(*self.model_event.shape)
        return z - self._centred(torch.zeros_like(z), context), standard_normal_log_prob(z)

    def _log_marginal(self, u, observed, context=None):
        z = self._centred(u, context)
        return event_sum(torch.where(observed, -0.5 * z.square() - 0.5 * math.log(2 * math.pi), 0.0))

    def _complete(self, u, observed, context, rows):
        return torch.where(observed, u, rows.normal(*self.model_event.shape))


def _normal(event, **options):
    torch.manual_seed(0)
    model = Normal(event, **options).double().eval()
    if event.kind == "real":
        model.preprocess.fit(torch.tensor([1000.0, -7e-3]) + torch.tensor([40.0, 3e-3]) * torch.randn(99, 2).double())
    return model


TABLE = Event((2,))
COUNTED = Event((2,), "integer", low=0, high=7)


def test_uniform_bytes_have_exactly_eight_bits_per_dimension():
    model = Uniform(Event((3, 4), "real")).double()
    x = torch.randint(0, 256, (50, 3, 4), generator=torch.Generator().manual_seed(0)).double()
    bits = -model.log_prob(x) / model.event.dims / math.log(2)
    assert torch.equal(bits, torch.full_like(bits, 8.0))


def test_a_density_is_in_data_units():
    model = _normal(TABLE)
    mean, std = model.preprocess.mean, model.preprocess.std
    x = mean + std * torch.tensor([[0.3, -1.0]], dtype=torch.float64)
    expected = torch.distributions.Normal(mean, std).log_prob(x).sum(1)
    assert torch.allclose(model.log_prob(x), expected) and torch.allclose(-model.energy(x), expected)
    assert torch.allclose(model.score(x), -(x - mean) / std**2)


def test_single_precision_keeps_columns_far_from_zero():
    model = _normal(TABLE)
    x = model.sample(200, generator=0)
    single = _normal(TABLE).float()
    assert torch.allclose(single.log_prob(x), model.log_prob(x), atol=1e-4)


def test_counted_data_under_a_density_answer_a_bound_and_say_so():
    model = Normal(COUNTED)
    assert not model.supports(HasLogProb) and model.supports(HasLogProb, units="model") and model.supports(HasBound)
    assert {"sample", "bound"} <= model.capabilities and not {"log_prob", "score", "marginal"} & model.capabilities
    x = torch.tensor([[0, 7], [3, 4]])
    for ask in (model.log_prob, model.energy, model.score):
        with pytest.raises(
            CapabilityError, match=r"dequantised, so the density is a lower bound: ask bound|no gradient"
        ):
            ask(x)
    with pytest.raises(CapabilityError, match="does not answer"):
        model.sample_and_log_prob(3)
    assert torch.equal(model.bound(x, generator=0), model.bound(x, generator=0))
    assert set(model.bound_terms(x, generator=0)) == {"log_prob", "units"}


def test_the_bound_averages_its_draws():
    model = Normal(COUNTED).double().eval()
    x = torch.tensor([[0, 7]])
    model.preprocess.fit(torch.randint(0, 8, (50, 2), generator=torch.Generator().manual_seed(0)))
    many = model.bound(x, samples=2000, generator=0)
    fine = torch.linspace(0, 1, 2001, dtype=torch.float64)[:-1].add(1 / 4000)
    std = model.preprocess.maps[1]
    cells = torch.stack([(x[0, i] + fine - std.mean[i]) / std.std[i] for i in range(2)])
    expected = (-0.5 * cells.square()).mean(1).sum() - math.log(2 * math.pi) - std.std.log().sum()
    assert float(many[0]) == pytest.approx(float(expected), abs=0.05)


def test_counted_units_that_stay_counted_are_exact():
    class Table(HasLogProb, HasSample, Model):
        def preprocessing(self, event):
            return Levels(event)

        def _log_prob(self, u, context=None):
            assert not u.is_floating_point()
            return torch.full((len(u),), -2 * math.log(8.0))

        def _sample(self, n, context, rows):
            return rows.integers(8, 2)

    model = Table(Event((2,), "integer", low=-3, high=4))
    assert model.supports(HasLogProb) and not model.supports(HasScore, units="model") and model.likelihood == "exact"
    draws = model.sample(100, generator=0)
    assert draws.dtype == torch.int64 and draws.min() == -3 and draws.max() == 4
    assert Table(Event((2,), "integer", low=0, high=7)).sample(2).dtype == torch.uint8


@pytest.mark.parametrize("lead", [(), (1,), (5,), (2, 3), (2, 1, 2)])
@pytest.mark.parametrize("shape", [(2,), (1, 2), ()])
def test_any_leading_dims(lead, shape):
    model = Normal(Event(shape)).double().eval()
    x = torch.randn((*lead, *shape), dtype=torch.float64)
    assert model.log_prob(x).shape == lead and model.bound(x, generator=0).shape == lead
    assert model.score(x).shape == x.shape
    assert torch.allclose(model.log_prob(x).flatten(), model.log_prob(x.reshape(-1, *shape)))
    marginal = model.log_marginal(x, torch.ones(shape, dtype=torch.bool))
    assert torch.allclose(marginal, model.log_prob(x))


def test_gradients_go_only_where_they_are_asked_for():
    model, x = _normal(TABLE), torch.zeros(3, 2, dtype=torch.float64)
    assert not model.log_prob(x).requires_grad
    assert model.log_prob(x.clone().requires_grad_()).requires_grad
    assert not model.score(x).requires_grad and model.score(x.clone().requires_grad_()).requires_grad
    model.train()
    assert model.log_prob(x).requires_grad and not model.sample(2).requires_grad
    with torch.no_grad():
        assert not model.log_prob(x).requires_grad


def test_a_draw_with_its_density_carries_the_gradient():
    model = _normal(TABLE)
    x, log_prob = model.sample_and_log_prob(6, generator=0)
    assert torch.allclose(log_prob, model.log_prob(x.detach())) and x.requires_grad
    (slope,) = torch.autograd.grad((x / model.preprocess.std).sum(), model.shift)
    assert float(slope) == pytest.approx(12.0)


def test_contexts_one_or_many():
    model = _normal(TABLE, context_event=Event((1,)))
    one, many = torch.tensor([0.5]), torch.tensor([[0.5], [3.0]])
    assert model.sample(4, context=one, generator=0).shape == (4, 2)
    assert model.sample(4, context=many, generator=0).shape == (2, 4, 2)
    far = model.sample(400, context=many, generator=0).mean(1) / model.preprocess.std
    assert torch.allclose((far[1] - far[0]), torch.full((2,), 2.5, dtype=torch.float64), atol=0.3)
    x = model.sample(3, context=many, generator=1)
    each = torch.stack([model.log_prob(x[b], many[b].expand(3, 1)) for b in range(2)])
    assert torch.allclose(model.log_prob(x, many), each)
    assert torch.allclose(model.log_prob(x[0], many[0]), each[0])
    with pytest.raises(ValueError, match=r"expected context with leading dims a prefix of \(2, 3\)"):
        model.log_prob(x, torch.zeros(3, 1))


def test_wrong_questions_are_refused_in_words():
    model, given = _normal(TABLE), _normal(TABLE, context_event=Event((1,)))
    for call, says in (
        (lambda: model.log_prob(torch.zeros(3, 4)), r"expected x of shape \(\.\.\., 2\), got \(3, 4\)"),
        (lambda: model.log_prob(torch.tensor([[0.0, math.nan]])), r"expected x without NaN, got one at index \[0, 1\]"),
        (lambda: model.log_prob(torch.zeros(3, 2), torch.zeros(3, 1)), "expected no context"),
        (lambda: given.log_prob(torch.zeros(3, 2)), "expected context="),
        (lambda: given.sample(3), "expected context="),
        (lambda: model.sample(0), "expected n as a positive integer"),
        (lambda: model.sample(True), "expected n as a positive integer"),
        (lambda: Normal(Event((2,), "category", levels=3)), "takes events of kind real, .*got 'category'"),
        (lambda: Normal(TABLE, Event((1,), "positive")), "takes context of kind real, category"),
        (lambda: Uniform(TABLE, Event((1,))), "takes no context"),
        (lambda: Uniform(Event((2,), missing=True)), "cannot learn from NaN"),
        (lambda: model.use_preprocessing(Standardise(Event((3,)))), "this preprocessing leads to"),
    ):
        with pytest.raises(ValueError, match=says):
            call()


def test_final_methods_stay_final():
    for name in ("sample", "log_prob", "supports", "fit", "load"):
        with pytest.raises(TypeError, match=f"overrides the final method {name}; write the hook _{name}"):
            type("Rebel", (Normal,), {name: lambda self: None})


def test_missing_entries_are_marginalised():
    model = Normal(Event((2,), missing=True)).double().eval()
    x = torch.tensor([[0.5, math.nan], [1.0, -1.0], [math.nan, math.nan]], dtype=torch.float64)
    seen = ~x.isnan()
    expected = torch.where(seen, -0.5 * x.nan_to_num() ** 2 - 0.5 * math.log(2 * math.pi), 0.0).sum(1)
    for answer in (model.log_prob(x), model.log_marginal(x, seen), -model.energy(x), model.bound(x, generator=0)):
        assert torch.allclose(answer, expected)
    with pytest.raises(ValueError, match="without NaN"):
        model.score(x)


def test_a_marginal_carries_only_the_units_of_what_is_observed():
    model = _normal(TABLE)
    x, std = model.sample(4, generator=0), model.preprocess.std
    first = model.log_marginal(x, torch.tensor([True, False]))
    expected = torch.distributions.Normal(model.preprocess.mean[0], std[0]).log_prob(x[:, 0])
    assert torch.allclose(first, expected)
    one = Normal(Event((1,))).double().eval()
    one.preprocess.fit(torch.tensor([[3.0], [9.0]]))
    assert float(one.log_marginal(torch.tensor([5.0]), torch.tensor([False]))) == 0.0


def test_completions_keep_what_is_given_and_extend_one_another():
    model = _normal(TABLE)
    x = torch.tensor([[1010.0, math.nan], [950.0, math.nan], [1000.0, math.nan]], dtype=torch.float64)
    observed = torch.tensor([True, False])
    draws = model.complete(x, observed, 50, generator=0)
    assert draws.shape == (3, 50, 2) and torch.equal(draws[..., 0], x[:, :1].expand(3, 50)) and draws.isfinite().all()
    assert torch.equal(model.complete(x, observed, 20, generator=0), draws[:, :20])
    law = model.conditional(x[0], observed)
    assert law.sample(6, generator=0).shape == (6, 2)
    expected = torch.distributions.Normal(model.preprocess.mean[1], model.preprocess.std[1]).log_prob(draws[0, :, 1])
    assert torch.allclose(law.log_prob(draws[0]), expected)


def test_samples_are_a_function_of_the_seed():
    model = _normal(TABLE)
    whole = model.sample(130, generator=4)
    assert torch.equal(model.sample(130, generator=4, batch_size=31), whole)
    assert torch.equal(model.sample(100, generator=4), whole[:100])
    assert not torch.equal(model.sample(130, generator=5), whole)
    assert not torch.equal(model.sample(5), model.sample(5))


def test_units_of_a_context_reach_the_hooks():
    model = Normal(TABLE, Event((), "category", levels=3)).double()
    rows = model._context_rows(torch.tensor([2, 0]), (2, 4))
    assert rows.shape == (8, 3) and rows[0].tolist() == [0, 0, 1] and rows[7].tolist() == [1, 0, 0]


def test_a_bare_model_has_a_dtype_and_no_default_objective():
    bare = Uniform(TABLE)
    assert bare.dtype == torch.float32 and bare.double().dtype == torch.float64 and bare.device.type == "cpu"
    assert "_anchor" not in bare.state_dict()
    with pytest.raises(TypeError, match="no default objective"):
        bare.default_objective()


def test_a_random_map_takes_fresh_noise_for_every_draw_of_a_bound():
    model = Normal(COUNTED).double()
    x = torch.tensor([[3, 4]])
    u = [model._to_model(x, Rows(0, 1).spawn(k))[0] for k in range(2)]
    assert not torch.equal(*u)
    assert not torch.equal(model.bound(x, generator=0), model.bound(x, generator=1))
