"""Every line of the table leads to a sampler, or to a part of one, that needs no argument to be built."""

import pytest

from fairway import samplers as package
from fairway.core.sampler import Sampler, as_sampler
from fairway.samplers.registry import SAMPLERS, samplers


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_every_line_leads_to_a_part_of_that_name(name):
    part = samplers[name]
    assert part.role == "sampler" and part.name() == name
    assert getattr(package, SAMPLERS[name].partition(":")[2]) is part


@pytest.mark.parametrize("name", ["direct", "langevin", "probability_flow"])
def test_samplers_and_kernels_are_built_without_arguments(name):
    assert isinstance(as_sampler(name), Sampler)


def test_the_package_refuses_other_names():
    with pytest.raises(AttributeError, match="no attribute 'Lagnevin'"):
        package.Lagnevin  # noqa: B018
