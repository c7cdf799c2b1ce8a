"""A mapping learned from pairs, and what a critic adds to the error: detail that its median has not."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows, generator_for, seeded
from fairway.models.gan.pix2pix import Pix2Pix
from fairway.objectives.critic_losses import non_saturating_critic
from fairway.objectives.paired import Paired
from fairway.training.fit import fit

GREY = Event((8, 8), "bounded", low=0.0, high=1.0)
RUN = {"batch_size": 16, "precision": "float32", "seed": 0}


def squares(n, seed):
    """(n, 8, 8): a square of ones somewhere on zeros."""
    generator = generator_for(seed)
    corner, side = (torch.randint(*ends, (n, 2, 1), generator=generator) for ends in ((0, 6), (2, 5)))
    line = torch.arange(8)
    down, right = ((line >= corner[:, i]) & (line < corner[:, i] + side[:, i]) for i in range(2))
    return (down.unsqueeze(2) & right.unsqueeze(1)).float()


def build(**options):
    with seeded(0):
        return Pix2Pix(GREY, GREY, **{"latent": 4, "hidden": (16, 32), **options})


def test_the_papers_objective():
    objective = build().default_objective()
    assert objective.reconstruction == 100 and objective.divergence.critic is non_saturating_critic
    assert [(p.player, p.times) for p in objective.phases(None)] == [("critic", 1), ("model", 1)]


def test_inverted_and_shifted_squares():
    """u = 0.2 + 0.6 (1 - shifted): neither a copy of the context nor the mean picture is near."""

    def pair(n, seed):
        c = squares(n, seed)
        return c, 0.8 - 0.6 * c.roll((1, 1), (1, 2))

    context, x = pair(300, 0)
    model = build().fit(x, context=context, steps=250, lr=3e-3, **RUN)
    context, wanted = pair(100, 1)
    error, copied, mean = ((made - wanted).abs().mean() for made in (model.translate(context), context, x.mean(0)))
    assert error < 0.25 * mean and error < 0.05 * copied
    drawn = model.sample(1, context=context, generator=0)[:, 0]
    assert (drawn - wanted).abs().mean() < 0.3 * mean


class Silent(torch.nn.Module):
    """A critic that teaches nothing."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.zeros(()))

    def forward(self, u, context=None):
        return 0 * self.scale * u.flatten(1).mean(1)


def test_the_error_alone_blurs_what_the_critic_asks_for():
    """Squares are striped one way, the other way or not at all: the median has no stripes, data have."""
    stripes = (torch.arange(8) % 2 * 2 - 1.0).reshape(1, 8)
    context, held_out = squares(200, 0), squares(100, 1)
    x = 0.5 + 0.4 * context * stripes * (Rows(0, 200).integers(3).float() - 1)[:, None, None]

    def striped(**options):
        model = build().fit(x, context=context, objective=Paired(3.0, **options), steps=250, lr=4e-3, **RUN)
        along = ((model.translate(held_out) - 0.5) * stripes * held_out).sum((1, 2)) / held_out.sum((1, 2))
        return float(along.abs().mean())

    with_critic, without = striped(), striped(critic=Silent())
    assert without < 0.05 and with_critic > max(2.5 * without, 0.07)


def test_it_is_found_by_name_and_takes_images_as_they_come():
    x = torch.randint(0, 256, (20, 3, 8, 8), generator=generator_for(0), dtype=torch.uint8)
    model = fit("pix2pix", x, context=x[:, :1], steps=2, hidden=(4,), critic_hidden=(4,), **RUN)
    assert model.hidden == (4,) and model.event.levels == 256
    out = model.translate(x[:2, :1])
    assert out.dtype == torch.uint8 and out.shape == (2, 3, 8, 8)


def test_channels_by_the_size_of_the_image():
    sizes = {8: (64,), 16: (64, 128), 28: (64, 128), 64: (64, 128, 256, 256)}
    for side, hidden in sizes.items():
        event = Event((side, side))
        assert Pix2Pix(event, event).hidden == hidden


def test_errors_say_what_to_do():
    with pytest.raises(ValueError, match=r"pix2pix makes images of images: .*for unpaired data take cycle_gan"):
        fit("pix2pix", torch.rand(10, 8, 8), steps=1)
    with pytest.raises(ValueError, match=r"paired learns from rows and contexts that belong together.*cycle_gan"):
        fit("pix2pix", torch.rand(10, 8, 8), context=torch.rand(12, 8, 8), paired=False, steps=1)
    with pytest.raises(ValueError, match="multiples of 8, 8 pixels or more; got 9 x 9"):
        Pix2Pix(Event((9, 9)), Event((9, 9)))
