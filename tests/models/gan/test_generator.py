import torch

from fairway.core.event import Event
from fairway.core.random import Rows, seeded
from fairway.models.gan.generator import Generator
from fairway.objectives.adversarial import Adversarial


def build(event, context_event=None):
    with seeded(0):
        return Generator(event, context_event, latent=3, hidden=(8,)).eval()


def test_a_sample_is_the_decoded_noise():
    model = build(Event((2, 4)))
    u = model._sample(5, None, Rows(0, 5))
    torch.testing.assert_close(u, model._decode(Rows(0, 5).normal(3)))
    assert model.decode(torch.zeros(5, 3)).shape == (5, 2, 4)


def test_the_context_reaches_the_output():
    model = build(Event((2,)), Event((2,)))
    z = torch.zeros(4, 3)
    assert (model.decode(z, torch.zeros(4, 2)) != model.decode(z, torch.ones(4, 2))).all()


def test_counted_data_stay_in_range_and_carry_a_gradient_in_model_units():
    model = build(Event((3,), "integer", low=2, high=5))
    model.preprocess.fit(torch.randint(2, 6, (50, 3), generator=torch.Generator().manual_seed(0)))
    draws = model.sample(200, generator=0)
    assert draws.min() >= 2 and draws.max() <= 5 and not draws.is_floating_point()
    assert model._sample(5, None, Rows(0, 5)).requires_grad


def test_it_has_no_density():
    assert build(Event((2,))).capabilities == {"sample", "decode"}
    assert isinstance(build(Event((2,))).default_objective(), Adversarial)
