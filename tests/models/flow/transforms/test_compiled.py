"""Compiled directions belong to one transform: copies are eager, slow directions stay as they are."""

import copy

import pytest
import torch

from fairway.core.compiler import cannot_compile
from fairway.core.event import Event
from fairway.models.flow.cnf import CNF
from fairway.models.flow.iaf import IAF
from fairway.models.flow.maf import MAF
from fairway.models.flow.nsf import NSF
from fairway.models.flow.real_nvp import RealNVP
from fairway.models.flow.transforms import compiled
from fairway.models.flow.transforms.compiled import PLACE, direction, parallel
from fairway.testing.subject import redraw


@pytest.mark.parametrize(
    ("model", "directions"),
    [(RealNVP, ("to_latent", "to_data")), (MAF, ("to_latent",)), (IAF, ("to_data",)), (CNF, ())],
)
def test_what_goes_entry_by_entry_is_not_compiled(model, directions):
    assert parallel(model(Event((2,)), hidden=(4,)).transform) == directions


def test_a_copy_does_not_answer_through_the_original(monkeypatch):
    flow = RealNVP(Event((2,)), transforms=2, hidden=(4,)).double().eval()
    monkeypatch.setattr(compiled, "cannot_compile", lambda: None)
    monkeypatch.setattr(torch, "compile", lambda method: lambda u, context: (u + 7, u.sum(1)))  # stands in
    flow.compile()
    other, u = copy.deepcopy(flow), torch.zeros(3, 2, dtype=torch.float64)
    assert float(flow.encode(u)[0, 0]) == 7 and float(other.encode(u)[0, 0]) == 0
    assert PLACE not in flow.state_dict() and direction(other.transform, "to_data") == other.transform.to_data


def test_what_cannot_be_compiled_says_why(monkeypatch):
    with pytest.raises(RuntimeError, match="many small steps"):
        CNF(Event((2,)), hidden=(4,)).compile()
    with pytest.raises(TypeError, match="no options"):
        RealNVP(Event((2,))).compile(fullgraph=True)
    monkeypatch.setattr(compiled, "cannot_compile", lambda: "no C++ compiler was found")
    with pytest.raises(RuntimeError, match="no C"):
        RealNVP(Event((2,))).compile()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own, about what it looks at while it traces
@pytest.mark.skipif(cannot_compile() is not None, reason="no C++ compiler")
def test_compiled_flows_say_the_same():
    flow = NSF(Event((3,)), transforms=2, hidden=(8,), bins=4).double().eval()
    redraw(flow)
    u = torch.randn(9, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    before = flow.log_prob(u), flow.sample(5, generator=0), flow.score(u)
    flow.compile()
    for got, expected in zip((flow.log_prob(u), flow.sample(5, generator=0), flow.score(u)), before, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)
