"""Every line of the table leads to a configurable module of that name."""

import pytest
from torch import nn

from fairway.core.config import Configurable
from fairway.networks.registry import NETWORKS, networks


@pytest.mark.parametrize("name", list(NETWORKS))
def test_every_line_leads_to_a_module_of_that_name(name):
    network = networks[name]
    assert issubclass(network, nn.Module) and issubclass(network, Configurable)
    assert network.role == "network" and network.name() == name
