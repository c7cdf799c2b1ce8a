"""A generator and a critic that grow: a new size changes nothing as it comes in, and everything once it is there."""

import pytest
import torch

from fairway.core.random import seeded
from fairway.networks.equalised import Equalised
from fairway.networks.growth import averaged, enlarged
from fairway.networks.progan import ProGANCritic, ProGANGenerator


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def generator():
    with seeded(0):
        return ProGANGenerator((2, 16, 24), 5, context=3, hidden=(6, 5, 4))


@pytest.fixture
def critic():
    with seeded(1):
        return ProGANCritic((2, 16, 24), context=3, hidden=(4, 5, 6))


def grown(network, level, fade=1.0):
    network.growth.level.fill_(level)
    network.growth.fade.fill_(fade)
    return network


def draw(generator, level, fade=1.0):
    return grown(generator, level, fade)(normal(3, 5), normal(3, 3, seed=1))


def judge(critic, u, level, fade=1.0):
    return grown(critic, level, fade)(u, normal(len(u), 3, seed=1))


@pytest.mark.parametrize("level", [1, 2])
def test_a_new_level_comes_in_as_the_level_below(generator, level):
    assert torch.equal(draw(generator, level, 0.0), draw(generator, level - 1))


@pytest.mark.parametrize("level", [1, 2])
def test_a_level_that_has_come_in_draws_by_its_own_block(generator, level):
    h = generator.first(torch.cat([generator.scale_latent(normal(3, 5)), normal(3, 3, seed=1)], 1))
    for block in generator.blocks[:level]:
        h = block(h)
    own = enlarged(generator.heads[level](h), 2 ** (2 - level))
    assert torch.equal(draw(generator, level), own)
    assert not torch.allclose(own, draw(generator, level - 1))
    torch.testing.assert_close(draw(generator, level, 0.5), (own + draw(generator, level - 1)) / 2)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_draws_are_of_full_size_and_have_the_details_of_their_level(generator, level):
    u, tile = draw(generator, level), 2 ** (2 - level)
    assert u.shape == (3, 2, 16, 24)
    torch.testing.assert_close(enlarged(averaged(u, tile), tile), u)
    assert level == 0 or not torch.allclose(enlarged(averaged(u, 2 * tile), 2 * tile), u)


@pytest.mark.parametrize("level", [1, 2])
def test_the_critic_grows_alike(critic, level):
    u = normal(4, 2, 16, 24)
    torch.testing.assert_close(judge(critic, u, level, 0.0), judge(critic, u, level - 1))
    assert not torch.allclose(judge(critic, u, level), judge(critic, u, level - 1))


def test_the_critic_sees_nothing_finer_than_its_level(critic):
    u = normal(4, 2, 16, 24)
    for level, tile in [(0, 4), (1, 2)]:
        coarse = enlarged(averaged(u, tile), tile)
        torch.testing.assert_close(judge(critic, u, level), judge(critic, coarse, level))
    assert not torch.allclose(judge(critic, u, 2), judge(critic, coarse, 2))


@pytest.mark.parametrize("kind", ["generator", "critic"])
def test_a_loss_at_a_level_leaves_the_blocks_of_others_alone(kind, generator, critic):
    network = {"generator": generator, "critic": critic}[kind]
    made = draw(generator, 1) if kind == "generator" else judge(critic, normal(4, 2, 16, 24), 1)
    made.square().sum().backward()
    without = {name for name, p in network.named_parameters() if p.grad is None}
    wanted = {name for name, _ in network.named_parameters() if name.startswith(("heads.0", "heads.2", "blocks.1"))}
    assert without == wanted and wanted


def test_shapes_never_change(generator, critic):
    for network in (generator, critic):
        shapes = [{k: v.shape for k, v in grown(network, level).state_dict().items()} for level in range(3)]
        assert shapes[0] == shapes[1] == shapes[2] and {"growth.level", "growth.fade", "growth.age"} <= set(shapes[0])


def test_every_layer_is_equalised(generator, critic):
    for network in (generator, critic):
        weights = {id(p) for p in network.parameters()}
        assert weights == {id(p) for m in network.modules() if isinstance(m, Equalised) for p in m.parameters()}


def test_only_the_direction_of_a_latent_counts(generator):
    z, c = normal(3, 5), normal(3, 3, seed=1)
    torch.testing.assert_close(generator(3 * z, c), generator(z, c))
    assert (generator(z, c + 1) != generator(z, c)).any()


def test_the_critic_is_told_the_context_and_the_batch(critic):
    u = normal(4, 2, 16, 24)
    assert (critic(u, normal(4, 3, seed=1)) != critic(u, normal(4, 3, seed=2))).all()
    c, same = normal(1, 3).expand(4, 3), u[:1].expand(4, 2, 16, 24)
    assert not torch.isclose(critic(same, c)[0], critic(u, c)[0])  # one row among its copies, and among others


def test_sides_that_cannot_be_doubled_to_are_refused():
    with pytest.raises(ValueError, match=r"expected sides that 3 halvings leave whole .* got 28 x 28"):
        ProGANGenerator((28, 28), 4, hidden=(8, 8, 8, 8))
    with pytest.raises(ValueError, match="tables need an MLP"):
        ProGANCritic((5,), hidden=(8, 8))
