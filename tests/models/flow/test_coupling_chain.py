"""How couplings are mixed: by colours and fixed random splits, by learned matrices, or by taking turns."""

import pytest
import torch

from fairway.models.flow.coupling_chain import coupling_chain, perceptron
from fairway.models.flow.transforms.univariate import shift


def kinds(mixing, shape=(5,)):
    links = coupling_chain(shape, shift, 5, perceptron(0, (4,)), mixing)
    return "".join(type(link).__name__[0] for link in links)


def test_each_mixing_has_its_own_pattern():
    assert kinds("shuffle") == "PCCPCCPC" and kinds("linear") == "CLCLCLCLC" and kinds("halves") == "CCCCC"


def test_conditioners_start_at_zero_and_see_their_context():
    network = perceptron(2, (4,))(3, 6)
    assert torch.equal(network(torch.ones(2, 5)), torch.zeros(2, 6))


def test_a_context_goes_straight_to_the_outputs_too():
    network = perceptron(2, (4,))(3, 6).double()
    network.weight.data.normal_(generator=torch.Generator().manual_seed(0))
    x = torch.randn(7, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(network(x), x[:, 3:] @ network.weight.T)
    torch.testing.assert_close(network.columns(x.T), network(x).T)


def test_wrong_mixings_and_single_entries_are_refused():
    with pytest.raises(ValueError, match="shuffle, linear, halves"):
        kinds("rotation")
    with pytest.raises(ValueError, match="at least 2"):
        kinds("halves", (1,))
