"""What is generated follows what is given, in both directions of the lecture."""

import pytest
import torch

from fairway.core.event import Event
from fairway.models.gan.cgan import CGAN
from fairway.training.fit import fit


def test_a_context_is_required():
    with pytest.raises(ValueError, match="pass context="):
        CGAN(Event((2,)))


def test_an_image_of_a_class():
    """Class 1 is bright on the right, class 0 on the left."""
    label = torch.randint(2, (400,), generator=torch.Generator().manual_seed(0))
    x = torch.randint(0, 60, (400, 8, 8), generator=torch.Generator().manual_seed(1))
    side = torch.arange(8) >= 4
    x = x + 150 * (side == label[:, None, None].bool()).long()
    model = fit("cgan", x.byte(), context=label, latent=4, hidden=(16,), steps=150, lr=3e-3, seed=0)
    draws = model.sample(50, context=torch.tensor([0, 1]), generator=0).float()
    left, right = draws[..., :4].mean((1, 2, 3)), draws[..., 4:].mean((1, 2, 3))
    assert left[0] > right[0] + 60 and right[1] > left[1] + 60


def test_tags_of_an_image():
    """The other direction: tag 0 says that the left is bright, tag 1 that the right is."""
    tags = torch.randint(2, (500, 2), generator=torch.Generator().manual_seed(0))
    x = 0.1 * torch.rand(500, 4, 4, generator=torch.Generator().manual_seed(1))
    x[:, :, :2] += 0.8 * tags[:, 0, None, None]
    x[:, :, 2:] += 0.8 * tags[:, 1, None, None]
    model = fit("cgan", tags, context=x, hidden=(32,), critic_hidden=(32,), steps=300, lr=3e-3, seed=0)
    found = model.sample(1, context=x[:200], generator=0).squeeze(1)
    assert (found == tags[:200]).float().mean() > 0.9
