"""The path every question takes: leading dims, batches, contexts, units, dtypes."""

import pytest
import torch

from fairway.core.event import Event
from fairway.models.classical.mixture import GMM
from fairway.models.flow.real_nvp import RealNVP


@pytest.fixture
def flow():
    torch.manual_seed(0)
    model = RealNVP(Event((2,)), Event((), "category", levels=3), transforms=2, hidden=(8,)).double().eval()
    for parameter in model.parameters():
        parameter.data.normal_(std=0.3)
    return model


def test_leading_dims_are_those_of_the_argument(flow):
    x, context = torch.randn(4, 5, 2).double(), torch.randint(0, 3, (4, 5))
    value = flow.log_prob(x, context)
    assert value.shape == (4, 5)
    assert torch.allclose(value[2, 3], flow.log_prob(x[2, 3], context[2, 3]))


def test_a_context_with_fewer_dims_is_repeated(flow):
    x, context = torch.randn(4, 5, 2).double(), torch.randint(0, 3, (4,))
    assert torch.allclose(flow.log_prob(x, context), flow.log_prob(x, context[:, None].expand(4, 5)))
    with pytest.raises(ValueError, match=r"prefix of \(4, 5\), got \(5,\)"):
        flow.log_prob(x, torch.zeros(5, dtype=torch.long))


@pytest.mark.parametrize("size", [1, 3, 20, None])
def test_batches_change_nothing(flow, size):
    x, context = torch.randn(20, 2).double(), torch.randint(0, 3, (20,))
    assert torch.allclose(flow.log_prob(x, context, batch_size=size), flow.log_prob(x, context), atol=1e-12)


def test_gradients_are_carried_to_what_asks_for_them(flow):
    x, context = torch.randn(3, 2).double(), torch.zeros(3, dtype=torch.long)
    assert not flow.log_prob(x, context).requires_grad  # eval mode, plain argument
    assert flow.log_prob(x.requires_grad_(), context).requires_grad
    assert flow.train().log_prob(x.detach(), context).requires_grad


@pytest.mark.parametrize(
    ("event", "dtype"),
    [
        (Event((2,), "integer", low=0, high=255), torch.uint8),
        (Event((2,), "integer", low=-1, high=5), torch.int64),
        (Event((2,)), torch.float32),
    ],
)
def test_samples_come_in_the_dtype_of_the_event(event, dtype):
    assert GMM(event, components=2).sample(3, generator=0).dtype == dtype


def test_an_integer_array_is_a_fine_argument_of_a_real_event():
    model = GMM(Event((2,)), components=2).eval()
    assert torch.equal(model.log_prob(torch.tensor([[1, 2]])), model.log_prob(torch.tensor([[1.0, 2.0]])))


def test_masks_are_one_for_all_rows_or_one_for_each():
    model, x = GMM(Event((3,)), components=2).eval(), torch.randn(4, 3)
    one, each = torch.tensor([True, False, True]), torch.tensor([[True, False, True]]).expand(4, 3)
    assert torch.allclose(model.log_marginal(x, one), model.log_marginal(x, each))
    with pytest.raises(ValueError, match="observed"):
        model.log_marginal(x, torch.ones(2, 3, dtype=torch.bool))


def test_rows_at_once_are_whole_blocks_and_fewer_for_images():
    from fairway.models.diffusion.edm import EDM

    found = {shape: EDM(Event(shape), hidden=(4,)).rows_at_once for shape in ((2,), (28, 28), (3, 64, 64))}
    assert found == {(2,): 8192, (28, 28): 320, (3, 64, 64): 64}
