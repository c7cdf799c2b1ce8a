"""Our flows in other libraries' parts: what the tests against each library share."""

from pathlib import Path

import pytest

FLOWS = {
    "real_nvp": ("real_nvp", {}),
    "maf": ("maf", {}),
    "nsf, coupling": ("nsf", {"kind": "coupling", "mixing": "halves"}),
    "nsf, autoregressive": ("nsf", {"kind": "autoregressive"}),
}


@pytest.fixture
def twins(monkeypatch):
    """The functions by which the benchmark puts them together."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    import _flow_twins

    return _flow_twins


@pytest.fixture(params=[2, 5], ids=["2-D", "5-D"])
def dims(request):
    return request.param


@pytest.fixture(params=FLOWS)
def model(request, dims, twins):
    """A flow with random parameters, float64."""
    name, options = FLOWS[request.param]
    return twins.redrawn(name, dims, **options)
