"""Translations learned without pairs, both ways; the view of the way back; units of both laws."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.random import generator_for, seeded
from fairway.models.gan.cycle_gan import CycleGAN
from fairway.networks.translation import ResidualTranslator
from fairway.objectives.critic_losses import least_squares_critic
from fairway.training.fit import fit
from fairway.training.run_folder import load

COLOUR = Event((3, 8, 8), "bounded", low=0.0, high=1.0)
GREYS, SHARES = Event((8, 8), "integer", low=0, high=8), Event((8, 8), "bounded", low=-1.0, high=2.0)


def squares(n, seed):
    """(n, 8, 8): a square of ones somewhere on zeros."""
    generator = generator_for(seed)
    corner, side = (torch.randint(*ends, (n, 2, 1), generator=generator) for ends in ((0, 6), (2, 5)))
    line = torch.arange(8)
    down, right = ((line >= corner[:, i]) & (line < corner[:, i] + side[:, i]) for i in range(2))
    return (down.unsqueeze(2) & right.unsqueeze(1)).float()


def red(shape):
    return 0.1 + 0.8 * torch.stack([shape, 0 * shape, 0 * shape], 1)


def green(shape):
    return 0.1 + 0.8 * torch.stack([0 * shape, shape, 0 * shape], 1)


def build(event=COLOUR, context=COLOUR, **options):
    with seeded(0):
        return CycleGAN(event, context, **{"hidden": (8,), "blocks": 1, **options})


class Same(torch.nn.Module):
    """Changes nothing, whatever the noise."""

    def __init__(self):
        super().__init__()
        self.one = torch.nn.Parameter(torch.ones(()))

    def forward(self, image, z):
        return self.one * image


# -- the paper's property -------------------------------------------------------------------------------------------
def test_red_squares_become_green_ones_where_they_are_and_back():
    """200 red squares, 150 green ones, none the same: nothing but the cycle says that a square is to stay in place."""
    run = {"batch_size": 8, "precision": "float32", "cycle": 4.0, "identity": 2.0, "steps": 300, "lr": 3e-3}
    model = build().fit(green(squares(150, 1)), context=red(squares(200, 0)), paired=False, seed=0, **run)
    shape = squares(64, 2)
    there, back = model.translate(red(shape)), model.reverse.translate(green(shape))
    copied, mean = ((made - green(shape)).abs().mean() for made in (red(shape), green(squares(150, 1)).mean(0)))
    assert (there - green(shape)).abs().mean() < 0.6 * min(copied, mean)
    assert (back - red(shape)).abs().mean() < 0.6 * min(copied, mean)
    assert (model.reverse.translate(there) - red(shape)).abs().mean() < 0.5 * copied
    inside = there.transpose(0, 1)[:, shape > 0].mean(1)
    assert inside[1] > inside[0] + 0.3


def test_the_papers_objective():
    objective = build().default_objective()
    assert (objective.cycle, objective.identity, objective.pool) == (10, 5, 50)
    assert all(game.divergence.critic is least_squares_critic for game in objective.games)
    assert build(COLOUR, Event((8, 8))).default_objective().identity == 0


# -- the way back ---------------------------------------------------------------------------------------------------
def test_the_way_back_is_a_view():
    model = build(GREYS, SHARES, latent=3).eval()
    back = model.reverse
    assert (back.event, back.context_event) == (SHARES, GREYS)
    assert back.latent_event == model.latent_event and not back.training
    x = torch.randint(0, 9, (4, 8, 8), generator=generator_for(0))
    before = back.sample(2, context=x, generator=0)
    assert before.shape == (4, 2, 8, 8) and before.is_floating_point()
    assert before.min() >= -1 and before.max() <= 2
    with torch.no_grad():
        model.back.last.bias += 1
    assert (back.sample(2, context=x, generator=0) > before).all()
    assert {id(p) for p in back.parameters()} == {id(p) for p in model.back.parameters()}
    assert back.capabilities == {"sample", "decode"}
    with pytest.raises(ValueError, match="expected context"):
        back.sample(1, context=x[:, :4])
    with pytest.raises(TypeError, match="a view of a model"):
        back.fit(torch.rand(4, 8, 8), context=x)


def test_both_laws_have_units_of_their_own():
    """Networks that change nothing carry one range to the other, cells of whole numbers at their centres."""
    model = build(GREYS, SHARES)
    model.network, model.back = Same(), Same()
    model.eval()
    x = torch.arange(9).repeat(8)[:64].reshape(1, 8, 8)
    shares = -1 + 3 * (x + 0.5) / 9
    torch.testing.assert_close(model.reverse.translate(x), shares)
    assert torch.equal(model.translate(shares).long(), x)
    assert torch.equal(model.translate(model.reverse.translate(x)).long(), x)
    u = torch.rand(2, 8, 8) * 2 - 1
    assert torch.equal(model._decode(torch.zeros(2, 4), u), u)
    assert torch.equal(model._decode_back(torch.zeros(2, 4), u), u)


def test_a_folder_keeps_both_ways(tmp_path):
    x, context = torch.randint(0, 9, (40, 8, 8), generator=generator_for(1)), torch.randn(30, 2, 8, 8) * 5 + 100
    options = {"hidden": (4,), "blocks": 1, "latent": 2, "critic_hidden": (4,), "steps": 3, "batch_size": 8}
    model = fit("cycle_gan", x, context=context, paired=False, identity=0.0, out=tmp_path, **options)
    again = load(tmp_path)
    a, b = context[:3], x[:3]
    assert torch.equal(again.translate(a), model.translate(a))
    assert torch.equal(again.reverse.translate(b), model.reverse.translate(b))
    assert abs(float(again.reverse.translate(b).mean()) - 100) < 20


def test_pairs_are_taken_as_two_samples():
    x = torch.rand(20, 8, 8, generator=generator_for(0))
    model = fit("cycle_gan", x, context=1 - x, hidden=(4,), blocks=1, critic_hidden=(4,), steps=2, batch_size=8)
    assert model.translate(x).shape == x.shape


# -- what it is made of ---------------------------------------------------------------------------------------------
def test_two_networks_between_images_of_any_channels():
    model = build(COLOUR, Event((8, 8)), hidden=(4, 8), blocks=2, latent=3)
    assert all(isinstance(network, ResidualTranslator) for network in (model.network, model.back))
    assert [(n.inputs, n.last.out_channels, n.squash) for n in (model.network, model.back)] == [
        (1, 3, True),
        (3, 1, False),
    ]
    assert len(model.network.blocks) == 2 and model.network.halvings == 1


@pytest.mark.parametrize(
    ("context", "options", "says"),
    [
        (None, {}, "images of the other law, with paired=False"),
        (Event((8, 4)), {}, r"sides \(8, 8\), got \(8, 4\)"),
        (Event((8, 8), "category", levels=3), {}, "takes context of kind real, bounded"),
        (Event((8, 8)), {"hidden": (4, 4, 4, 4)}, "multiples of 8, 16 pixels or more; got 8 x 8"),
    ],
)
def test_errors_say_what_to_do(context, options, says):
    with pytest.raises(ValueError, match=says):
        build(COLOUR, context, **options)
