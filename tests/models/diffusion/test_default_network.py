"""What a denoiser computes with when nobody brings a network."""

import pytest
import torch

from fairway import fit
from fairway.core.event import Event
from fairway.core.random import Rows
from fairway.models.diffusion.ddpm import DDPM
from fairway.models.diffusion.default_network import sizes
from fairway.models.diffusion.edm import EDM
from fairway.models.diffusion.flow_matching import FlowMatching
from fairway.models.diffusion.interpolant import Interpolant
from fairway.models.diffusion.ncsn import NCSN
from fairway.models.diffusion.score_sde import ScoreSDE
from fairway.networks.time_mlp import TimeMLP
from fairway.networks.unet import UNet

MODELS = (DDPM, EDM, FlowMatching, Interpolant, NCSN, ScoreSDE)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    ("shape", "network"), [((3,), TimeMLP), ((1, 4, 8), TimeMLP), ((8, 8), UNet), ((3, 9, 16), UNet)]
)
def test_images_have_convolutions_and_tables_a_perceptron(model, shape, network):
    found = model(Event(shape), hidden=(4,)).network
    assert type(found) is network
    u = Rows(0, 2).normal(*shape)
    assert found(u, torch.full((2,), 0.5)).shape == u.shape


@pytest.mark.parametrize("model", MODELS)
def test_the_context_is_dropped_now_and_then_unless_told_otherwise(model):
    classes = Event((), "category", levels=3)
    for shape in ((3,), (8, 8)):
        assert model(Event(shape), classes, hidden=(4,)).network.conditions.context_dropout.p == 0.1
        assert model(Event(shape), classes, hidden=(4,), context_dropout=0.0).network.conditions.nothing is None
        assert model(Event(shape), hidden=(4,)).network.conditions.nothing is None


def test_learned_variances_come_from_the_same_network():
    for shape in ((3,), (1, 2, 2), (8, 8)):
        model = DDPM(Event(shape), learned_variance=True, hidden=(4,))
        answer, between = model._said(torch.zeros(2, *shape), torch.full((2,), 0.5), None)
        assert answer.shape == between.shape == (2, *shape)


def test_sizes_end_at_about_eight_pixels():
    assert [len(sizes(Event((side, side)))) for side in (8, 12, 16, 28, 32, 64, 128)] == [2, 2, 2, 3, 3, 4, 5]
    assert sizes(Event((3, 32, 128))) == sizes(Event((32, 32))) == (32, 64, 128)


def test_your_own_network_takes_the_place():
    own = torch.nn.Identity()
    assert EDM(Event((8, 8)), network=own).network is own


def test_a_few_hundred_steps_draw_bars():
    """Images of one bright row: samples have one bright row each."""
    which = Rows(0, 512).integers(8)
    x = torch.zeros(512, 8, 8)
    x[torch.arange(512), which] = 1.5
    model = fit("edm", x, hidden=(8, 8), steps=250, batch_size=32, seed=0, lr=5e-3, validation=0, progress=False)
    drawn = model.sample(50, sampler="dpm_solver", generator=0)
    bright = drawn.mean(2).argmax(1)
    wanted = torch.zeros(50, 8, 8)
    wanted[torch.arange(50), bright] = 1.5
    near = (drawn - wanted).square().mean((1, 2)) < 0.05
    assert float(near.float().mean()) > 0.6
    assert len(bright.unique()) == 8
