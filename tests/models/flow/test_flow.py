"""What every flow owes: a density by change of variables, a latent for every row, draws that know their density."""

import pytest
import torch

from fairway.core.capability import CapabilityError
from fairway.core.event import Event
from fairway.core.numerics import standard_normal_log_prob
from fairway.models.flow.flow import Flow
from fairway.models.flow.transforms.permutation import Permutation
from fairway.models.flow.transforms.transform import Chain, Transform


class Warp(Transform):
    """z = a u + sinh(u) / 2, entry by entry (inverted by Newton), a = 1 + the context's softplus."""

    def to_latent(self, u, context=None):
        slope = self._slope(u, context)
        return slope * u + u.sinh() / 2, (slope + u.cosh() / 2).log().sum(1)

    def to_data(self, z, context=None):
        u, slope = torch.zeros_like(z), self._slope(z, context)
        for _ in range(60):
            u = u - (slope * u + u.sinh() / 2 - z) / (slope + u.cosh() / 2)
        return u, -(slope + u.cosh() / 2).log().sum(1)

    @staticmethod
    def _slope(u, context):
        extra = 0.0 if context is None else torch.nn.functional.softplus(context.sum(1, keepdim=True))
        return torch.ones_like(u[:, :1]) + extra


class Warped(Flow):
    """A flow of two links, for the clauses of the base class."""

    cites = ("dinh2017real_nvp",)
    least_dims = 2

    def __init__(self, event, context_event=None):
        super().__init__(event, context_event)
        self.transform = Chain([Warp(), Permutation(torch.arange(self.dims).flip(0))])


@pytest.fixture
def flow():
    model = Warped(Event((2,))).double().eval()
    model.preprocess.fit(torch.tensor([[960.0, -0.01], [1040.0, -0.004]]))
    return model


def around(model, n=40):
    z = torch.randn(n, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return z * model.preprocess.std + model.preprocess.mean


def test_density_is_the_change_of_variables(flow):
    x = around(flow)
    u = (x - flow.preprocess.mean) / flow.preprocess.std
    z = (u + u.sinh() / 2).flip(1)
    ladj = (1 + u.cosh() / 2).log().sum(1) - flow.preprocess.std.log().sum()
    torch.testing.assert_close(flow.log_prob(x), standard_normal_log_prob(z) + ladj)
    torch.testing.assert_close(flow.encode(x), z)


def test_every_row_has_one_latent(flow):
    x = around(flow)
    torch.testing.assert_close(flow.decode(flow.encode(x)), x, atol=0, rtol=1e-9)
    z = torch.randn(30, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(flow.encode(flow.decode(z)), z, atol=1e-9, rtol=0)


def test_latents_of_samples_are_normal(flow):
    z = flow.encode(flow.sample(20_000, generator=0))
    assert float(z.mean(0).abs().max()) < 0.03 and float((z.std(0) - 1).abs().max()) < 0.03
    assert float(torch.corrcoef(z.T)[0, 1].abs()) < 0.03


def test_draws_know_their_density_and_carry_the_gradient(flow):
    x, log_prob = flow.sample_and_log_prob(50, generator=3)
    torch.testing.assert_close(log_prob, flow.log_prob(x), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(x.detach(), flow.sample(50, generator=3))


def test_images_keep_their_shape():
    model = Warped(Event((1, 2, 3), "integer", low=0, high=7)).double().eval()
    x = torch.randint(0, 8, (4, 1, 2, 3), generator=torch.Generator().manual_seed(0))
    assert model.latent_event.shape == (1, 2, 3)
    z = model.encode(x)
    assert z.shape == (4, 1, 2, 3)
    assert torch.equal(model.decode(z).long(), x), "a level's centre comes back as the level"
    with pytest.raises(CapabilityError, match="ask bound"):
        model.log_prob(x)
    with pytest.raises(CapabilityError):
        model.sample_and_log_prob(2)


def test_context_is_flattened_and_used():
    model = Warped(Event((2,)), Event((1, 2))).double().eval()
    x = torch.ones(3, 2).double()
    context = torch.stack([torch.full((1, 2), value) for value in (-3.0, 0.0, 3.0)]).double()
    values = model.log_prob(x, context)
    assert len(values.unique()) == 3
    torch.testing.assert_close(model.log_prob(x[1], context[1]), values[1])


def test_one_entry_cannot_be_coupled():
    with pytest.raises(ValueError, match="Warped couples entries: expected at least 2 of them"):
        Warped(Event((1,)))
