"""Levels of an image: squeezed one after the other, every entry kept."""

import torch

from fairway.models.flow.transforms.actnorm import ActNorm
from fairway.models.flow.transforms.levels import squeezed_levels


def test_every_level_sees_its_own_shape_and_all_entries_come_back():
    seen = []

    def steps(shape):
        seen.append(shape)
        return [ActNorm(shape[0])]

    transform = squeezed_levels((3, 8, 4), 2, steps)
    assert seen == [(12, 4, 2), (48, 2, 1)]
    u = torch.arange(2 * 96.0).reshape(2, 3, 8, 4)
    z, ladj = transform.to_latent(u)
    assert z.shape == (2, 96) and ladj.tolist() == [0, 0]
    assert torch.equal(z.sort(1).values, u.flatten(1)) and torch.equal(transform.to_data(z)[0], u)


def test_no_level_is_a_flow_of_vectors():
    seen = []
    squeezed_levels((2, 3, 3), 0, lambda shape: seen.append(shape) or [ActNorm(18)])
    assert seen == [(18,)]
