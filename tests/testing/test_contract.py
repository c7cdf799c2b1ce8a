"""The contract has teeth: honest toys pass it, and each planted mistake is caught by the clause that names it."""

import pytest
import torch
from torch import nn

from fairway.core.capability import HasBound, HasConditional, HasLatent, HasLogProb, HasReparameterised, HasSample
from fairway.core.event import Event
from fairway.core.model import Case, Model
from fairway.core.numerics import bernoulli_log_prob, event_sum, normal_log_prob, standard_normal_log_prob
from fairway.core.preprocessing import countable
from fairway.objectives.mle import MLE
from fairway.testing import ContractError, applicable, check_model, contract
from fairway.testing.contract import case_name

TABLE = Case(Event((2,)))


class Affine(HasLogProb, HasLatent, HasReparameterised, HasSample, Model):
    """z_1 = (u_1 - m_1) e^-s_1, z_2 = (u_2 - m_2 - a u_1) e^-s_2: a flow small enough to see through."""

    cites = ("nobody2000",)
    accepts_context = ("real", "category")
    tiny = [TABLE, Case(Event((2,), "bounded", low=-2, high=5), Event((), "category", levels=2))]

    def __init__(self, event, context_event=None):
        super().__init__(event, context_event)
        inputs = 1 if context_event is None else self.context_preprocess.model_event.dims
        self.centre = nn.Linear(inputs, 2)
        self.log_std, self.slope = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(()))

    def default_objective(self):
        return MLE()

    @property
    def latent_event(self):
        return Event((2,))

    def _mean(self, u, context):
        given = u.new_ones(len(u), 1) if context is None else context.flatten(1)
        return self.centre(given) + torch.stack([torch.zeros_like(u[:, 0]), self.slope * u[:, 0]], 1)

    def _encode(self, u, context=None):
        return (u - self._mean(u, context)) * torch.exp(-self.log_std)

    def _decode(self, z, context=None):
        scaled = z * torch.exp(self.log_std)
        first = scaled + self._mean(torch.zeros_like(z), context)
        return torch.stack([first[:, 0], first[:, 1] + self.slope * first[:, 0]], 1)

    def _log_prob(self, u, context=None):
        return standard_normal_log_prob(self._encode(u, context)) - self.log_std.sum()

    def _sample(self, n, context, rows):
        return self._rsample_and_log_prob(n, context, rows)[0]

    def _rsample_and_log_prob(self, n, context, rows):
        z = rows.normal(2)
        return self._decode(z, context), standard_normal_log_prob(z) - self.log_std.sum()


class WrongSign(Affine):
    """The log-determinant with the wrong sign."""

    def _log_prob(self, u, context=None):
        return standard_normal_log_prob(self._encode(u, context)) + self.log_std.sum()


class NoLogDeterminant(Affine):
    """No log-determinant at all."""

    def _log_prob(self, u, context=None):
        return standard_normal_log_prob(self._encode(u, context))


class Hot(Affine):
    """A sampler at temperature 1.3."""

    def _sample(self, n, context, rows):
        return self._decode(1.3**0.5 * rows.normal(2), context)


class Deaf(Affine):
    """Samples that ignore the seed."""

    def _sample(self, n, context, rows):
        return self._decode(rows.spawn(0).normal(2) * 0 + torch.linspace(-1, 1, n).unsqueeze(1).double(), context)


class Global(Affine):
    """Samples from torch's global generator."""

    def _sample(self, n, context, rows):
        return self._decode(torch.randn(n, 2, dtype=torch.float64), context)


class Moody(Affine):
    """The same seed, other samples: fresh noise at every call, and the global generator left in peace."""

    def _sample(self, n, context, rows):
        fresh = torch.Generator()
        fresh.seed()
        return self._decode(torch.randn(n, 2, dtype=torch.float64, generator=fresh), context)


class Batched(Affine):
    """One generator for the whole batch: the rows depend on the batch size."""

    def _sample(self, n, context, rows):
        noise = torch.randn(n, 2, generator=torch.Generator().manual_seed(rows.seed), dtype=torch.float64)
        return self._decode(noise, context)


class Gregarious(Affine):
    """A density that depends on the neighbours in the batch."""

    def _log_prob(self, u, context=None):
        return super()._log_prob(u - 0.1 * u.mean(0), context)


class Biased(Affine):
    """A decoder that does not undo the encoder."""

    def _decode(self, z, context=None):
        return super()._decode(z, context) + 1e-6


class Deterministic(Affine):
    """Draws noise in its density."""

    def _log_prob(self, u, context=None):
        return super()._log_prob(u + 1e-3 * torch.rand((), generator=_NOISE), context)


_NOISE = torch.Generator().manual_seed(0)


class Unconditional(Affine):
    """Takes a context and ignores it."""

    def _mean(self, u, context):
        return super()._mean(u, None if self.context_event is None else torch.zeros_like(context))


class Dead(Affine):
    """A parameter that no loss reaches."""

    def __init__(self, event, context_event=None):
        super().__init__(event, context_event)
        self.forgotten = nn.Parameter(torch.zeros(3))


class Counting(Affine):
    """A density that changes the model it asks."""

    def __init__(self, event, context_event=None):
        super().__init__(event, context_event)
        self.register_buffer("asked", torch.zeros(()))

    def _log_prob(self, u, context=None):
        self.asked += 1
        return super()._log_prob(u, context)


class WrongScore(Affine):
    """The score of a standard normal, whatever the density."""

    def _score(self, u, context=None):
        return -u


class Autoregressive(HasLogProb, HasSample, Model):
    """Three binary pixels, each a logistic regression on those before it."""

    cites = ("nobody2000",)
    accepts = ("binary",)
    tiny = [Case(Event((3,), "binary")), Case(Event((2, 2), "binary"))]

    def __init__(self, event, context_event=None):
        super().__init__(event, context_event)
        dims = event.dims
        self.weight, self.bias = nn.Parameter(torch.zeros(dims, dims)), nn.Parameter(torch.zeros(dims))
        self.register_buffer("mask", self._seen(dims))

    def _seen(self, dims):
        return torch.ones(dims, dims).tril(-1)

    def preprocessing(self, event):
        return countable(event)

    def default_objective(self):
        return MLE()

    def _logits(self, u):
        return u @ (4 * self.weight * self.mask).T + self.bias

    def _log_prob(self, u, context=None):
        u = u.flatten(1).to(self.dtype)
        return event_sum(bernoulli_log_prob(u, self._logits(u)))

    def _sample(self, n, context, rows):
        uniform = rows.uniform(self.event.dims)
        u = torch.zeros_like(uniform)
        for i in range(self.event.dims):
            u[:, i] = (uniform[:, i] < torch.sigmoid(self._logits(u)[:, i])).to(u.dtype)
        return u.long().reshape(n, *self.event.shape)


class NotCausal(Autoregressive):
    """A mask that lets each pixel see itself."""

    def _seen(self, dims):
        return torch.ones(dims, dims).tril(0)


class WrongOrder(Autoregressive):
    """Samples in another order than the density's."""

    def _sample(self, n, context, rows):
        return super()._sample(n, context, rows).flatten(1).flip(1).reshape(n, *self.event.shape)


class Pair(HasLogProb, HasConditional, HasSample, Model):
    """Two correlated normals, with marginals and completions in closed form."""

    cites = ("nobody2000",)
    accepts = ("real",)
    tiny = [TABLE]

    def __init__(self, event, context_event=None):
        super().__init__(event, context_event)
        self.slope, self.log_std = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(2))

    def default_objective(self):
        return MLE()

    def _covariance(self):
        a, (s, t) = self.slope, self.log_std.exp()
        return s**2, a * s**2, t**2 + a**2 * s**2  # var u_1, cov, var u_2

    def _log_prob(self, u, context=None):
        first = normal_log_prob(u[:, 0], 0.0, self.log_std[0])
        return first + normal_log_prob(u[:, 1], self.slope * u[:, 0], self.log_std[1])

    def _log_marginal(self, u, observed, context=None):
        var1, _, var2 = self._covariance()
        each = torch.stack([normal_log_prob(u[:, i], 0.0, v.log() / 2) for i, v in enumerate((var1, var2))], 1)
        alone = torch.where(observed, each, 0.0).sum(1)
        return torch.where(observed.all(1), self._log_prob(u), alone)

    def _sample(self, n, context, rows):
        z = rows.normal(2) * self.log_std.exp()
        return torch.stack([z[:, 0], z[:, 1] + self.slope * z[:, 0]], 1)

    def _complete(self, u, observed, context, rows):
        var1, cov, var2 = self._covariance()
        z, free = rows.normal(2), self._sample(len(u), None, rows.spawn(1))
        first = cov / var2 * u[:, 1] + (var1 - cov**2 / var2).sqrt() * z[:, 0]
        second = cov / var1 * u[:, 0] + (var2 - cov**2 / var1).sqrt() * z[:, 1]
        given = torch.where(observed.any(1, keepdim=True), torch.stack([first, second], 1), free)
        return torch.where(observed, u, given)


class WrongMarginal(Pair):
    """The second entry's conditional spread in place of its marginal spread."""

    def _covariance(self):
        var1, cov, _ = super()._covariance()
        return var1, cov, self.log_std[1].exp() ** 2


class Unconditioned(Pair):
    """Completions that ignore what is observed."""

    def _complete(self, u, observed, context, rows):
        return torch.where(observed, u, self._sample(len(u), None, rows))


class Frozen(Pair):
    """The most probable completion in place of draws."""

    def _complete(self, u, observed, context, rows):
        return torch.where(observed, u, self.slope * u.flip(1))


class Bounded(HasBound, HasSample, Model):
    """A normal with a wrongly centred proposal: reconstruction + kl >= -log p."""

    cites = ("nobody2000",)
    accepts = ("real",)
    tiny = [TABLE]

    def __init__(self, event, context_event=None):
        super().__init__(event, context_event)
        self.mean = nn.Parameter(torch.zeros(2))

    def default_objective(self):
        from fairway.objectives.elbo import ELBO

        return ELBO()

    def _bound_terms(self, u, context, rows):
        z = self.mean + rows.normal(2)  # the decoder: u ~ N(z, 1), the prior and the posterior N(mean, 1)
        return {"reconstruction": -event_sum(normal_log_prob(u, z)), "kl": torch.zeros(len(u), dtype=u.dtype)}

    def _sample(self, n, context, rows):
        return self.mean + 2**0.5 * rows.normal(2)


class Inflated(Bounded):
    """A bound that forgets the normalising constants of its decoder."""

    def _bound_terms(self, u, context, rows):
        terms = super()._bound_terms(u, context, rows)
        return {**terms, "reconstruction": terms["reconstruction"] - 3.0}


HONEST = [Affine, Autoregressive, Pair, Bounded]

PLANTED = [
    (WrongSign, "density_integrates_to_one"),
    (WrongSign, "log_prob_is_the_change_of_variables"),
    (WrongSign, "draws_come_with_their_density"),
    (NoLogDeterminant, "density_integrates_to_one"),
    (NoLogDeterminant, "log_prob_is_the_change_of_variables"),
    (Hot, "samples_match_the_density"),
    (Deaf, "samples_follow_the_seed"),
    (Global, "leaves_no_trace"),
    (Moody, "samples_follow_the_seed"),
    (Batched, "samples_ignore_the_batch_size"),
    (Gregarious, "log_prob_ignores_the_neighbours"),
    (Biased, "decode_undoes_encode"),
    (Deterministic, "log_prob_takes_any_leading_dims"),
    (Unconditional, "context_matters"),
    (Dead, "every_parameter_learns"),
    (Counting, "leaves_no_trace"),
    (WrongScore, "score_is_the_gradient"),
    (NotCausal, "probabilities_sum_to_one"),
    (WrongOrder, "samples_match_the_probabilities"),
    (WrongMarginal, "marginal_integrates_the_joint"),
    (Unconditioned, "completions_follow_the_conditional"),
    (Frozen, "completions_keep_what_is_observed"),
    (Inflated, "bound_has_a_mass_of_at_most_one"),
]


def _run(model_class, name):
    """Run one clause on every case it applies to."""
    (check,) = [check for check in contract if check.name == name]
    cases = [case for case in model_class.tiny if check in applicable(model_class, case)]
    assert cases, f"{name} applies to no case of {model_class.__name__}"
    for case in cases:
        check(model_class, case)


@pytest.mark.parametrize("model_class", HONEST, ids=lambda cls: cls.__name__)
def test_honest_toys_pass(model_class):
    assert len(check_model(model_class)) >= 15 * len(model_class.tiny)


@pytest.mark.parametrize(("model_class", "name"), PLANTED, ids=lambda value: getattr(value, "__name__", value))
def test_planted_mistakes_are_caught(model_class, name):
    with pytest.raises(ContractError, match=name):
        _run(model_class, name)


def test_a_broken_model_hears_of_every_broken_clause():
    with pytest.raises(ContractError, match="clauses are broken") as caught:
        check_model(WrongSign, [TABLE])
    assert "density_integrates_to_one" in str(caught.value) and "samples_match_the_density" in str(caught.value)


def test_a_model_without_cases_is_told_to_add_some():
    class Bare(Affine):
        tiny = []

    with pytest.raises(ContractError, match="tiny ="):
        check_model(Bare)


def test_names_are_unique_and_readable():
    names = [check.name for check in contract]
    assert len(set(names)) == len(names) and all(name.isidentifier() for name in names)
    assert case_name(Case(Event((1, 2), "binary"), Event((), "category", levels=2))) == "binary_1x2_given_category"
