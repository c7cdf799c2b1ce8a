"""Which precision is chosen, that losses agree, and that memory layout changes neither names nor results."""

import os

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fairway.core.event import Event
from fairway.core.low_precision import autocast
from fairway.core.objective import Batch, Phase, Step
from fairway.core.random import Rows, seeded
from fairway.models.diffusion.flow_matching import FlowMatching
from fairway.models.flow.real_nvp import RealNVP
from fairway.models.gan.wgan_gp import WGANGP
from fairway.models.latent.vae import VAE
from fairway.training import precision
from fairway.training.precision import chosen, lay_out, mixed, networks

DIGITS = Event((8, 8), "integer", low=0, high=16)
needs_data = pytest.mark.skipif("FAIRWAY_DATA" not in os.environ, reason="needs FAIRWAY_DATA")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


class Convolutions(nn.Module):
    """A small velocity for 8x8 images: the time joins as a channel."""

    def __init__(self, width=4):
        super().__init__()
        self.first, self.second = nn.Conv2d(2, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, u, t, context=None):
        time = t.reshape(-1, 1, 1, 1).expand(-1, 1, *u.shape[-2:]).to(u.dtype)
        h = F.silu(self.first(torch.cat([u.reshape(len(u), 1, *u.shape[-2:]), time], 1)))
        return self.last(F.silu(self.second(h))).reshape(u.shape)


def step_of(model):
    objective = model.default_objective()
    with seeded(1):
        objective.setup(model)
    return Step(model.train(), objective)


def convolutional(event=DIGITS, **options):
    with seeded(0):
        return step_of(FlowMatching(event, network=Convolutions(**options)))


def autoencoder():
    with seeded(0):
        return step_of(VAE(DIGITS, latent=4, hidden=(32,), dropout=0.0))


def batch_of(step, n=32):
    from fairway.data import load

    x = load("digits").x[:n]
    step.model.preprocess.fit(x)
    return Batch(step.model._to_model(x, Rows(7, n))[0].detach().float())


def losses(step, batch, steps, dtype=None, device="cpu"):
    """A few steps of AdamW on one batch."""
    forward, handles = mixed(step, step, dtype)
    optimiser = torch.optim.AdamW(step.model.parameters(), lr=3e-3, fused=True)
    found = []
    for k in range(steps):
        loss = forward(batch, Phase(), Rows(k, len(batch), device=device)).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(loss.detach())
    for handle in handles:
        handle.remove()
    return torch.stack(found)


# -- the choice -----------------------------------------------------------------------------------------------------
@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(precision, "fast_bfloat16", lambda device: True)


def test_auto_halves_convolutions_and_transformers_only(fast):
    assert chosen("auto", convolutional(), "cpu") is torch.bfloat16
    assert chosen("auto", nn.TransformerEncoderLayer(8, 2), "cpu") is torch.bfloat16
    assert chosen("auto", step_of(RealNVP(Event((2,)), transforms=2, hidden=(8,))), "cpu") is None
    assert chosen("float32", convolutional(), "cpu") is None


def test_auto_halves_nothing_where_it_is_emulated(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert chosen("auto", convolutional(), "cpu") is None
    assert chosen("bfloat16", convolutional(), "cpu") is torch.bfloat16
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": True})
    assert chosen("auto", convolutional(), "cpu") is torch.bfloat16


def test_double_precision_stays_whole(fast):
    step = convolutional().double()
    assert chosen("auto", step, "cpu") is None
    with pytest.raises(ValueError, match="float64"):
        chosen("bfloat16", step, "cpu")


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="auto, float32, bfloat16"):
        chosen("float16", convolutional(), "cpu")


# -- the borders ----------------------------------------------------------------------------------------------------
def test_networks_are_the_outermost_modules_that_are_called():
    flow, gan = step_of(RealNVP(Event((2,)), transforms=2, hidden=(8,))), step_of(WGANGP(Event((2,)), hidden=(8,)))
    assert {type(n).__name__ for n in networks(flow)} == {"MLP"} and len(list(networks(flow))) == 2
    assert [type(n).__name__ for n in networks(gan)] == ["MLP", "MLPCritic"]


def test_what_leaves_a_network_is_float32_and_products_inside_are_not():
    flow, seen = step_of(RealNVP(Event((4,)), transforms=2, hidden=(8,))), []
    inner = next(m for m in flow.modules() if isinstance(m, nn.ReLU))
    inner.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    forward, handles = mixed(flow, flow, torch.bfloat16)
    z, ladj = flow.model.transform.to_latent(Rows(0, 3).normal(4), None)
    with autocast("cpu", torch.bfloat16):
        z, ladj = flow.model.transform.to_latent(Rows(0, 3).normal(4), None)
    assert seen == [torch.float32, torch.bfloat16] and z.dtype == ladj.dtype == torch.float32
    assert forward(Batch(Rows(0, 3).normal(4)), Phase(), Rows(0, 3)).total.dtype == torch.float32
    assert len(handles) == 2


def test_without_a_lower_precision_nothing_is_wrapped():
    step = convolutional()
    assert mixed(step, step, None) == (step, [])


@needs_data
@pytest.mark.parametrize("build", [convolutional, autoencoder])
def test_losses_agree_with_full_precision(build):
    """Over 15 steps on real digits, within two percent all along; and bfloat16 did compute."""
    full, half = (losses(step, batch_of(step, 16), 15, d) for step, d in ((build(), None), (build(), torch.bfloat16)))
    assert half.dtype == torch.float32 and not torch.equal(full, half)
    torch.testing.assert_close(half, full, rtol=0.02, atol=0)
    assert full[-1] < full[0]


# -- the layout -----------------------------------------------------------------------------------------------------
def test_channels_last_keeps_names_values_and_losses():
    plain, laid = convolutional(), convolutional()
    assert lay_out(laid) == 1 and lay_out(step_of(RealNVP(DIGITS, transforms=2, hidden=(8,)))) == 0
    assert laid.model.network.second.weight.is_contiguous(memory_format=torch.channels_last)
    assert not laid.model.network.second.weight.is_contiguous()
    a, b = plain.state_dict(), laid.state_dict()
    assert list(a) == list(b) and all(torch.equal(a[k], b[k]) for k in a)
    batch = Batch(Rows(0, 16).normal(8, 8))
    torch.testing.assert_close(losses(laid, batch, 8), losses(plain, batch, 8), rtol=1e-4, atol=1e-5)


def test_four_and_four_steps_in_channels_last_are_eight_in_every_bit():
    """Weights are read and moments copied in the layout of the parameters, whatever the file's."""

    def go_on(step, optimiser, first, last):
        lay_out(step)
        for k in range(first, last):
            loss = step(Batch(Rows(k, 16).normal(8, 8)), Phase(), Rows(k, 16)).total
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return {name: value.contiguous() for name, value in step.state_dict().items()}

    def start():
        step = convolutional()
        lay_out(step)
        return step, torch.optim.AdamW(step.parameters(), lr=1e-2, fused=True)

    whole = go_on(*start(), 0, 8)
    step, optimiser = start()
    half = go_on(step, optimiser, 0, 4)
    moments = [{k: v.clone().contiguous() for k, v in optimiser.state[p].items()} for p in step.parameters()]
    step, optimiser = start()
    step.load_state_dict(half)
    for p, saved in zip(step.parameters(), moments, strict=True):
        optimiser.state[p] = {k: torch.empty_like(p).copy_(v) if v.ndim else v for k, v in saved.items()}
    resumed = go_on(step, optimiser, 4, 8)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_tables_have_no_channels():
    class Odd(Convolutions):
        """Convolves a table all the same."""

    model = FlowMatching(Event((4,)), network=Odd())
    assert lay_out(step_of(model)) == 0


# -- devices --------------------------------------------------------------------------------------------------------
def test_a_fitted_model_moves_and_its_units_stay_float64():
    model = RealNVP(Event((2,)), transforms=2, hidden=(8,))
    model.preprocess.fit(1e6 + Rows(0, 50).normal(2))
    units = {k: v.dtype for k, v in model.preprocess.named_buffers()}
    assert torch.float64 in units.values()
    model.to("meta")
    assert {k: v.dtype for k, v in model.preprocess.named_buffers()} == units
    assert {p.device.type for p in model.parameters()} == {"meta"} and model.device.type == "meta"
    assert {b.device.type for b in model.preprocess.buffers()} == {"meta"}


@needs_gpu
def test_a_model_fitted_on_a_gpu_answers_the_same_on_the_processor():
    import fairway as fw

    model = fw.fit("real_nvp", 1e3 + Rows(0, 400).normal(2), steps=20, device="cuda", hidden=(16,), transforms=2)
    assert model.device.type == "cuda"
    x = (1e3 + Rows(1, 8).normal(2)).double()
    there = model.log_prob(x.cuda()).cpu()
    torch.testing.assert_close(model.to("cpu").log_prob(x), there, rtol=1e-4, atol=1e-4)


@needs_gpu
@needs_data
def test_losses_agree_on_a_gpu():
    full, half = convolutional(), convolutional()
    batch = batch_of(full)
    full, half, batch = full.cuda(), half.cuda(), Batch(batch.u.cuda())
    assert chosen("auto", full, "cuda") is torch.bfloat16
    a, b = (losses(step, batch, 40, d, "cuda") for step, d in ((full, None), (half, torch.bfloat16)))
    torch.testing.assert_close(b, a, rtol=0.02, atol=0)
