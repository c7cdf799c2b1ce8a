"""The signature is the configuration: JSON round trips, and a file that cannot make the library import anything."""

import importlib
import json

import pytest
import torch
from torch import nn

from fairway.core.config import Configurable, check_options, from_json, lookup, part_to_json, signature, to_json
from fairway.core.event import Event
from fairway.core.preprocessing import Chain, Dequantise, Logit, Standardise
from fairway.core.registry import HOMES
from fairway.networks.mlp import MLP

EVENT = Event((2,), "integer", low=0, high=7)


def _through_json(value, **external):
    return from_json(json.loads(json.dumps(to_json(value))), external)


@pytest.mark.parametrize("value", [None, True, 3, 0.1, "text", (1, (2, 3)), {"a": (1,), "b": None}, EVENT, (EVENT,)])
def test_plain_values_survive(value):
    assert _through_json(value) == value


def test_lists_come_back_as_tuples():
    assert _through_json([1, [2]]) == (1, (2,))


def test_a_part_is_its_role_its_name_and_its_arguments():
    assert to_json(MLP(2, 3, hidden=(4,))) == {
        "network": "mlp",
        "inputs": 2,
        "outputs": 3,
        "hidden": [4],
        "act": "silu",
        "residual": False,
        "dropout": 0.0,
    }


def test_parts_within_parts_survive():
    dequantise = Dequantise(EVENT)
    logit = Logit(dequantise.model_event, margin=0.05)
    again = _through_json(Chain([dequantise, logit, Standardise(logit.model_event)]))
    assert [type(m) for m in again.maps] == [Dequantise, Logit, Standardise]
    assert again.maps[1].margin == 0.05 and again.event == EVENT and again.density == "bound"


def test_defaults_and_positions_are_written_by_name():
    network = MLP(2, 3)
    assert network.arguments["hidden"] == (128, 128) and network.arguments["inputs"] == 2


class Stranger(Configurable, nn.Module):
    role = "network"

    def __init__(self, width=3):
        super().__init__()
        self.width = width


@pytest.mark.parametrize("part", [Stranger(4), nn.Linear(2, 2)], ids=["configurable", "plain module"])
def test_a_strangers_part_is_external_and_handed_back_by_keyword(part):
    written = to_json({"network": part})
    assert written == {"network": {"external": ".network"}} or written == {"network": {"external": "network"}}
    name = written["network"]["external"]
    assert from_json(written, {name: part})["network"] is part
    with pytest.raises(ValueError, match=r"load\("):
        from_json(written)


def test_what_cannot_be_written_is_refused_by_name():
    with pytest.raises(TypeError, match=r"'scale'.*Tensor"):
        to_json(torch.zeros(2), "scale")


HOSTILE = [
    {"network": "os.system"},
    {"network": "fairway.networks.mlp.MLP"},
    {"network": "fairway.networks.mlp:MLP", "inputs": 1, "outputs": 1},
    {"model": "subprocess:Popen", "args": ["touch", "/tmp/x"]},
    {"sampler": "__main__.Stranger"},
    {"preprocessing": "chain", "maps": [{"preprocessing": "posix:system"}]},
]


@pytest.mark.parametrize("data", HOSTILE, ids=str)
def test_a_configuration_imports_nothing_that_no_table_names(data, monkeypatch):
    imported, tables = [], {where.partition(":")[0] for where in HOMES.values()}
    genuine = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", lambda name, *a: imported.append(name) or genuine(name, *a))
    with pytest.raises(ValueError, match=r"no (network|model|sampler|preprocessing) named"):
        from_json(data)
    assert set(imported) <= tables  # the library's own tables of names, and nothing else


def test_class_path_is_only_data():
    data = {"class_path": "os.system", "init_args": {"command": "true"}}
    assert from_json(data) == data


def test_near_names_are_offered():
    with pytest.raises(ValueError, match="did you mean 'mlp'"):
        lookup("network", "mpl")
    with pytest.raises(ValueError, match=r"the network 'mlp' has no option 'hiden'; did you mean 'hidden'"):
        from_json({"network": "mlp", "inputs": 1, "outputs": 1, "hiden": [3]})
    with pytest.raises(ValueError, match="did you mean 'residual'"):
        check_options(MLP, {"residuals": 1}, "mlp")


def test_the_signature_has_no_self_and_a_wrong_call_is_the_constructors_to_refuse():
    assert list(signature(MLP)) == ["inputs", "outputs", "hidden", "act", "residual", "dropout"]
    with pytest.raises(TypeError, match="missing"):
        MLP()


def test_names():
    assert MLP.name() == "mlp" and Stranger.name() == "Stranger" and part_to_json(MLP(1, 1))["network"] == "mlp"


@pytest.mark.parametrize("inner", [None, "heun"])
def test_a_part_may_hold_another_of_its_role_by_the_name_of_the_role(inner):
    """A guided sampler has an argument `sampler`, which is not the key that says what it is."""
    from fairway.samplers.guidance import Guided

    back = _through_json(Guided(3.0, sampler=inner, interval=(0.2, 5.0)))
    assert (type(back), back.scale, back.interval) == (Guided, 3.0, (0.2, 5.0))
    assert to_json(back) == to_json(Guided(3.0, sampler=inner, interval=(0.2, 5.0)))
