"""The paper's property on its ring: no mode goes missing, and the noise can be read off the draws."""

import torch

from fairway.core.event import Event
from fairway.core.random import Rows, seeded
from fairway.data.toy import ring, ring_centres
from fairway.models.gan.veegan import VEEGAN
from fairway.objectives.veegan import VEEGAN as Reconstruction
from fairway.training.fit import fit


def test_every_mode_has_its_share_and_latents_come_back():
    x = ring(2_000).x
    with seeded(0):
        model = VEEGAN(Event((2,)), hidden=(32, 32))
    model = fit(
        model, x, reconstruction=1.0, critic_hidden=(32, 32), steps=300, lr=4e-3, seed=0, progress=False, compile="off"
    )
    nearest = torch.cdist(model.sample(4_000, generator=0), ring_centres()).argmin(1)
    share = torch.bincount(nearest, minlength=8) / 4_000
    assert share.min() > 0.06 and share.max() < 0.25, share  # 1 / 8 each
    z = Rows(0, 1_000).normal(2)
    assert (model.encode(model.decode(z)) - z).norm(dim=1).mean() < 0.3  # 1.77 apart, paired at random
    codes = model.encode(x)
    assert (model.decode(codes) - x).norm(dim=1).mean() < 0.2  # of 2.5
    torch.testing.assert_close(codes.std(0), torch.ones(2), atol=0.3, rtol=0)


def test_tables_and_pictures_learn_by_reconstruction():
    table = VEEGAN(Event((2,)), hidden=(8,)).default_objective()
    picture = VEEGAN(Event((8, 8), "integer", low=0, high=16), hidden=(8,)).default_objective()
    assert isinstance(table, Reconstruction) and table.reconstruction == picture.reconstruction == 0.1
    assert table.weight < picture.weight
