"""A chain applies its links in order, undoes them in reverse, and adds their log-determinants."""

import pytest
import torch

from fairway.models.flow.transforms.permutation import Permutation
from fairway.models.flow.transforms.transform import Chain, Transform


class Scale(Transform):
    """z = u s^k for entry k: order matters after a permutation."""

    def __init__(self, factor):
        super().__init__()
        self.register_buffer("factor", factor.double())

    def to_latent(self, u, context=None):
        return u * self.factor, self.factor.log().sum().expand(len(u))

    def to_data(self, z, context=None):
        return z / self.factor, -self.factor.log().sum().expand(len(z))


class Shift(Transform):
    """z = u + context."""

    def to_latent(self, u, context=None):
        return u + context, u.new_zeros(len(u))

    def to_data(self, z, context=None):
        return z - context, z.new_zeros(len(z))


@pytest.fixture
def chain():
    return Chain([Scale(torch.tensor([2.0, 3.0])), Permutation(torch.tensor([1, 0])), Shift()])


def test_links_apply_from_the_data_side_on(chain):
    z, ladj = chain.to_latent(torch.ones(1, 2).double(), torch.tensor([[10.0, 20.0]]).double())
    assert z.tolist() == [[13.0, 22.0]]
    assert float(ladj) == pytest.approx(float(torch.tensor(6.0).log()))


def test_and_are_undone_in_reverse(chain):
    u, context = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).double(), torch.ones(5, 2).double()
    z, ladj = chain.to_latent(u, context)
    back, ladj_back = chain.to_data(z, context)
    torch.testing.assert_close(back, u)
    torch.testing.assert_close(ladj_back, -ladj)


def test_an_empty_chain_is_the_identity():
    z, ladj = Chain([]).to_latent(torch.ones(2, 3))
    assert torch.equal(z, torch.ones(2, 3)) and ladj.tolist() == [0, 0]


def test_a_transform_must_go_both_ways():
    class Half(Transform):
        def to_latent(self, u, context=None):
            return u, u.sum(1)

    with pytest.raises(TypeError, match="to_data"):
        Half()
