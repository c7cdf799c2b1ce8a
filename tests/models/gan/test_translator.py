"""What every image-to-image generator does with images, labels and sides, seen on pix2pix."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import Rows, seeded
from fairway.models.gan.pix2pix import Pix2Pix
from fairway.models.gan.translator import bounded, channels, sides

GREY, LABELS = Event((8, 8)), Event((8, 8), "category", levels=3)


def build(event=GREY, context=GREY, **options):
    with seeded(0):
        return Pix2Pix(event, context, **{"latent": 2, "hidden": (4,), **options}).eval()


class Planes(torch.nn.Module):
    """Makes an image of one plane of its input, and of nothing else."""

    def __init__(self, plane, scale=1.0):
        super().__init__()
        self.plane, self.scale = plane, torch.nn.Parameter(torch.tensor(scale))

    def forward(self, image, z):
        self.seen = image
        return self.scale * image[:, self.plane : self.plane + 1]


def labels(*shape):
    return Rows(0, shape[0]).integers(3, *shape[1:])


def test_a_map_of_labels_comes_as_a_plane_for_each():
    model, map_ = build(GREY, LABELS), labels(5, 8, 8)
    assert model.network.inputs == 3
    for k in range(3):
        model.network = Planes(k)
        model.translate(map_)
        assert torch.equal(model.network.seen.argmax(1), map_) and model.network.seen.shape == (5, 3, 8, 8)
        torch.testing.assert_close(model.translate(map_), (map_ == k).float())


def test_channels_of_labels_keep_their_own_planes():
    """Two channels of three levels: planes 0, 1, 2 are the first channel's."""
    model, maps = build(GREY, Event((2, 8, 8), "category", levels=3)), labels(5, 2, 8, 8)
    assert model.network.inputs == 6
    for plane in range(6):
        model.network = Planes(plane)
        channel, level = divmod(plane, 3)
        torch.testing.assert_close(model.translate(maps), (maps[:, channel] == level).float())


def test_numbers_come_as_they_are_at_scale_one():
    context = Event((2, 8, 8), "integer", low=0, high=9)
    model, c = build(GREY, context), Rows(0, 64).integers(10, 2, 8, 8)
    model.context_preprocess.fit(c)
    model.network = Planes(1)
    model.translate(c)
    assert model.network.seen.shape == (64, 2, 8, 8)
    torch.testing.assert_close(model.network.seen.std(), torch.tensor(1.0), atol=0.01, rtol=0)


def test_what_has_a_range_ends_in_a_tanh():
    ranges = {"bounded": {"low": 0.0, "high": 1.0}, "integer": {"low": 0, "high": 3}, "binary": {}, "real": {}}
    ranges["positive"] = {}
    for kind, limits in ranges.items():
        event = Event((8, 8), kind, **limits)
        assert build(event).network.squash == bounded(event) == (kind in ("bounded", "integer", "binary"))
    assert not bounded(Event((8, 8), "integer"))


def test_a_translation_has_no_noise_and_any_leading_dims():
    model, c = build(), Rows(0, 6).normal(8, 8)
    one = model.translate(c)
    torch.testing.assert_close(model.translate(c.reshape(2, 3, 8, 8)), one.reshape(2, 3, 8, 8))
    torch.testing.assert_close(model.translate(c[0]), one[0])
    torch.testing.assert_close(one, model.decode(torch.zeros(6, 2), c))
    draws = model.sample(5, context=c, generator=0)
    assert draws.shape == (6, 5, 8, 8) and (draws.std(1) > 0).all()
    with pytest.raises(ValueError, match="expected context of shape"):
        model.translate(c[:, :4])


@pytest.mark.parametrize(("shape", "halvings"), [((64, 64), 3), ((16, 64), 3), ((8, 16), 2), ((4, 8), 1)])
def test_critics_halve_as_often_as_the_image_allows_three_times_at_most(shape, halvings):
    event = Event(shape)
    critic = build(event, event, hidden=(4, 5, 6, 7)[: 2 + (min(shape) > 8) * 2]).default_critic(None, 1)
    assert critic.halvings == halvings
    assert critic(torch.zeros(2, *shape), torch.zeros(2, *shape)).isfinite().all()


def test_critics_as_asked_for():
    model = build(GREY, LABELS)
    assert (model.default_critic(None, 1).context, model.default_critic(None, 0).context) == (3, 0)
    assert model.default_critic((2, 4), 1).halvings == 2
    with pytest.raises(ValueError, match="sides of 16 pixels or more for a critic of 3 halvings, got 8 x 8"):
        model.default_critic((2, 4, 8), 1)


def test_planes_and_sides():
    assert (channels(GREY), channels(LABELS), channels(Event((2, 8, 8), "tokens", levels=5))) == (1, 3, 10)
    assert sides(Event((3, 4, 6))) == (4, 6)


@pytest.mark.parametrize(
    ("event", "context", "says"),
    [
        (GREY, Event((8, 4)), r"sides \(8, 8\), got \(8, 4\): resize one"),
        (GREY, Event((), "category", levels=3), r"context images \(C, H, W\) or \(H, W\) of known sides, got Event"),
        (GREY, Event((3,)), r"context images \(C, H, W\) or \(H, W\) of known sides, got Event"),
        (Event((3,)), GREY, r"expected images \(C, H, W\) or \(H, W\) of known sides, got Event"),
        (GREY, Event((8, None)), r"context images \(C, H, W\) or \(H, W\) of known sides, got Event"),
        (Event((6, 8)), Event((6, 8)), "2 halvings leave whole: multiples of 4, 4 pixels or more; got 6 x 8"),
    ],
)
def test_events_that_cannot_be(event, context, says):
    with pytest.raises(ValueError, match=says):
        build(event, context, hidden=(4, 4))
