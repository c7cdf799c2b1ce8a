"""Learned noise: at the uniform law it is the usual dequantisation; learned, the bound is tighter."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows, seeded
from fairway.models.flow.dequantised import VariationalDequantisation
from fairway.models.flow.nice import NICE
from fairway.models.flow.real_nvp import RealNVP
from fairway.training.fit import fit

LEVELS = Event((2,), "integer", low=2, high=5)


def built(event=LEVELS, context_event=None, spread=0.3, **options):
    """Every parameter of the data's flow redrawn; the noise's as built, the uniform law."""
    with seeded(0):
        model = VariationalDequantisation(event, context_event, **{"transforms": 4, "hidden": (8,), **options}).double()
        for parameter in model.flow.parameters():
            parameter.data.normal_(0, spread)
    return model.eval()


def skewed(n=1500):
    """Levels 2..5 whose neighbours differ: a smooth density inside a cell is not flat."""
    generator = torch.Generator().manual_seed(0)
    first = torch.randint(0, 4, (n, 1), generator=generator)
    second = (first + (torch.rand(n, 1, generator=generator) < 0.15)) % 4
    return torch.cat([first, second], 1) + 2


def every_value():
    return torch.cartesian_prod(torch.arange(2, 6), torch.arange(2, 6))


def test_as_built_the_noise_is_uniform_and_the_bound_that_of_the_flow():
    model, x = built(), every_value()
    model.flow.preprocess.fit(skewed())
    v, log_q = model._draw_noise(x.repeat(500, 1), None, Rows(0, 8000, dtype=torch.float64))
    torch.testing.assert_close(log_q, torch.zeros_like(log_q), atol=1e-9, rtol=0)
    v = v.detach()
    assert abs(float(v.mean()) - 0.5) < 0.01 and float(v.var()) == pytest.approx(1 / 12, abs=3e-3)
    ours, theirs = (m.bound(x.repeat(1000, 1), generator=0).reshape(1000, 16) for m in (model, model.flow))
    error = (ours.var(0) + theirs.var(0)).div(1000).sqrt()
    assert ((ours - theirs).mean(0).abs() < 5 * error).all() and error.max() < 0.1


def test_with_any_noise_it_is_a_bound_on_the_probability():
    model, x = built(), every_value()
    model.flow.preprocess.fit(skewed())
    for parameter in model.noise.parameters():
        parameter.data.normal_(0, 0.3, generator=torch.Generator().manual_seed(1))
    axis = (torch.arange(40, dtype=torch.float64) + 0.5) / 40
    v = torch.cartesian_prod(axis, axis)
    w, ladj = model.flow.preprocess.to_model((x[:, None] + v - 0.5).flatten(0, 1))
    exact = (model.flow._log_prob(w).detach() + ladj).reshape(16, 1600).exp().mean(1).log()
    log_w = model.bound(x.repeat(2000, 1), generator=0).reshape(2000, 16)
    bound = log_w.mean(0)
    assert (bound < exact + 0.02).all() and (exact - bound).max() > 0.02
    torch.testing.assert_close(log_w.exp().mean(0).log(), exact, atol=0.2, rtol=0)  # and its weights are unbiased


def test_after_training_it_is_tighter_than_uniform_noise_for_the_same_flow():
    x = skewed()
    model = fit("variational_dequantisation", x, transforms=4, hidden=(16,), steps=200, lr=1e-2)
    learned = float(model.bound(x, generator=0, samples=4).mean())
    uniform = float(model.flow.bound(x, generator=0, samples=4).mean())
    assert learned > uniform + 0.1
    drawn = model.sample(500, generator=0)
    assert drawn.min() >= 2 and drawn.max() <= 5
    same = ((drawn[:, 1] - drawn[:, 0]) % 4 == 0).double().mean()
    assert same > 0.6


def test_the_units_of_the_flow_are_measured_on_the_data():
    x = torch.randint(90, 110, (300, 2), generator=torch.Generator().manual_seed(0))
    model = fit("variational_dequantisation", x, transforms=2, hidden=(8,), steps=5)
    u, _ = model.flow.preprocess.to_model(x)
    assert u.abs().max() < 3 and float(u.std()) == pytest.approx(1, abs=0.1)


def test_the_noise_follows_what_it_is_added_to_and_the_context():
    model = built(context_event=Event((), "category", levels=2))
    for parameter in model.noise.parameters():
        parameter.data.normal_(0, 0.5, generator=torch.Generator().manual_seed(1))
    x, context = every_value(), torch.eye(2, dtype=torch.float64)
    by_context = [model._draw_noise(x, c.expand(16, 2), Rows(0, 16, dtype=torch.float64))[0] for c in context]
    assert (by_context[0] - by_context[1]).abs().max() > 0.01
    one = model._draw_noise(x[:1].expand(16, 2), context[:1].expand(16, 2), Rows(0, 16, dtype=torch.float64))[0]
    assert (one[1:] - by_context[0][1:]).abs().amax(1).min() > 1e-4


def test_the_flow_is_a_name_or_a_part():
    with seeded(0):
        model = VariationalDequantisation(LEVELS, flow=NICE(LEVELS, transforms=2, hidden=(8,)))
    assert isinstance(model.flow, NICE) and isinstance(VariationalDequantisation(LEVELS, flow="nice").flow, NICE)


def test_what_it_refuses():
    with pytest.raises(ValueError, match="takes events of kind integer, binary"):
        VariationalDequantisation(Event((2,)))
    with pytest.raises(ValueError, match="expected a flow of"):
        VariationalDequantisation(LEVELS, flow=RealNVP(Event((2,), "integer", low=0, high=5)))
    with pytest.raises(ValueError, match="expected a flow, or the name of one"):
        VariationalDequantisation(LEVELS, flow=3)
    with pytest.raises(ValueError, match="the flow 'gmm' has no option"):
        VariationalDequantisation(LEVELS, flow="gmm")
