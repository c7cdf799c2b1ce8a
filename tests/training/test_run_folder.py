"""A run folder rebuilds its model in every bit; a broken or hostile one is refused in words and runs nothing."""

import importlib
import json
import os
import shutil

import pytest
import torch
from torch import nn

import fairway
from fairway.core.event import Event
from fairway.core.model import Model
from fairway.core.random import seeded
from fairway.models.classical.mixture import GMM
from fairway.models.flow.flow import Flow
from fairway.models.flow.transforms.coupling import Coupling
from fairway.models.flow.transforms.univariate import affine
from fairway.models.registry import MODELS, models
from fairway.testing.data import tiny_context, tiny_data
from fairway.training.files import BrokenFolder, read_json, write_json
from fairway.training.fit import fit
from fairway.training.run_folder import describe, load, read_config, save


def built(name):
    """Every case of a registered model, with fitted units and odd weights."""
    for number, case in enumerate(models[name].tiny):
        with seeded(number):
            model = models[name](case.event, case.context_event, **case.arguments)
            for parameter in model.parameters():
                parameter.data.normal_(0, 0.3)
        model.preprocess.fit(tiny_data(case.event, 50))
        if model.context_preprocess is not None:
            model.context_preprocess.fit(tiny_context(case.context_event, 50))
        yield model


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A run folder of a small trained mixture."""
    folder = tmp_path_factory.mktemp("run")
    x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0))
    fit("gmm", x, components=2, iterations=3, out=folder)
    return folder


@pytest.fixture
def folder(good, tmp_path):
    """A copy to break."""
    return shutil.copytree(good, tmp_path / "run")


def change(folder, **entries):
    config = read_json(folder / "config.json")
    config.update(entries)
    write_json(folder / "config.json", config)


# -- what comes back ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", list(MODELS))
def test_every_registered_model_comes_back_in_every_bit(name, tmp_path):
    for number, model in enumerate(built(name)):
        back = load(save(model, tmp_path / str(number)))
        assert type(back) is type(model) and not back.training
        assert back.arguments.keys() == model.arguments.keys()
        ours, theirs = model.state_dict(), back.state_dict()
        assert ours.keys() == theirs.keys()
        for key, value in ours.items():
            assert torch.equal(value, theirs[key]) and value.dtype == theirs[key].dtype, key


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_answers_precision_and_units_come_back(dtype, tmp_path):
    x = torch.randn(60, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 40 + 1000
    model = fit("gmm", x, components=2, iterations=3, dtype=dtype)
    model.save(tmp_path)
    back = fairway.load(tmp_path)
    assert back.dtype == dtype
    assert torch.equal(back.log_prob(x), model.log_prob(x))
    assert torch.equal(back.sample(5, generator=0), model.sample(5, generator=0))
    assert torch.equal(Model.load(tmp_path).means, model.means)


def test_own_units_come_back(x, tmp_path):
    model = fit("gmm", x, components=2, iterations=2, preprocess=False)
    assert type(load(save(model, tmp_path)).preprocess).__name__ == "Identity"


def test_saving_again_overwrites(good, folder):
    model = GMM(Event((3,)), components=1)
    assert load(save(model, folder)).means.shape == (1, 3)


def test_the_folder_holds_what_the_documentation_says(good):
    names = {p.name for p in good.iterdir()}
    assert names == {"config.json", "weights.safetensors", "data.json", "metrics.jsonl", "card.md", "training"}
    config, data = read_json(good / "config.json"), read_json(good / "data.json")
    assert config["format"] == 1 and config["model"] == "gmm" and config["objective"]["objective"] == "em"
    assert config["fit"]["seed"] == 0 and config["history"]["stopped"]
    assert data["n"] == 60 and len(data["digest"]) == 64 and data["protocol"]


# -- parts of one's own ---------------------------------------------------------------------------------------------
class Own(Flow):
    """A flow whose conditioner is the user's."""

    cites = ("dinh2017real_nvp",)

    def __init__(self, event, context_event=None, *, network=None):
        super().__init__(event, context_event)
        self.transform = Coupling(self.dims, affine, network, swap=False)


def test_a_strangers_network_is_handed_back_by_keyword(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "_table", dict(models._table))
    monkeypatch.setattr(models, "_objects", dict(models._objects))
    with pytest.raises(ValueError, match=r"Own is not registered: fairway\.models\.register"):
        describe(Own(Event((2,)), network=nn.Linear(1, 2)))
    models.register("own", Own)
    model = Own(Event((2,)), network=nn.Linear(1, 2))
    save(model, tmp_path)
    assert read_json(tmp_path / "config.json")["arguments"]["network"] == {"external": "network"}
    with pytest.raises(BrokenFolder, match=r"load\(\.\.\., network=your_module\)"):
        load(tmp_path)
    with pytest.raises(BrokenFolder, match="it asks for network, got netwrok"):
        load(tmp_path, netwrok=nn.Linear(1, 2))
    back = load(tmp_path, network=nn.Linear(1, 2))
    assert torch.equal(back.transform.conditioner.weight, model.transform.conditioner.weight)


def test_an_unregistered_model_is_refused_before_the_training(tmp_path):
    steps = []

    class Spy(fairway.training.callbacks.Callback):
        def on_step(self, run):
            steps.append(run.step)

    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="is not registered"):
        fit(Own(Event((2,)), network=nn.Linear(1, 2)), x, steps=3, out=tmp_path / "run", callbacks=[Spy()])
    assert steps == []


# -- broken ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["config.json", "weights.safetensors"])
def test_a_missing_file(folder, name):
    (folder / name).unlink()
    with pytest.raises(BrokenFolder, match=f"expected a file {name}"):
        load(folder)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_truncated_weights(folder, share):
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(BrokenFolder, match="truncated or not a safetensors file"):
        load(folder)


@pytest.mark.parametrize("text", ["{}", "[]", "null", '"gmm"', '{"model": 3, "arguments": {}}', '{"hello": "world"}'])
def test_foreign_json(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(BrokenFolder, match="does not describe a model"):
        load(folder)


@pytest.mark.parametrize("number", [0, 2, "1", None])
def test_another_format(folder, number):
    change(folder, format=number)
    with pytest.raises(BrokenFolder, match=r"has format .*reads format 1"):
        read_config(folder)


def test_no_folder(tmp_path):
    with pytest.raises(BrokenFolder, match="expected a run folder, found none"):
        load(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(BrokenFolder, match="expected a run folder, found none"):
        load(tmp_path / "file")


def test_weights_of_another_model(folder, tmp_path):
    other = tmp_path / "other"
    GMM(Event((2,)), components=5).save(other)
    shutil.copy(other / "weights.safetensors", folder)
    with pytest.raises(BrokenFolder, match=r"has shape \(5"):
        load(folder)
    GMM(Event((2,)), components=2, covariance="diagonal").save(other)
    shutil.copy(other / "weights.safetensors", folder)
    with pytest.raises(BrokenFolder, match=r"do not fit: missing \['lower'\]"):
        load(folder)


# -- hostile --------------------------------------------------------------------------------------------------------
@pytest.fixture
def tripwire(monkeypatch):
    """Whatever runs a command or imports by a stranger's name leaves a trace here."""
    ran, real = [], importlib.import_module

    def watched(name, *rest):
        if not name.startswith("fairway."):
            ran.append(name)
        return real(name, *rest)

    monkeypatch.setattr(os, "system", ran.append)
    monkeypatch.setattr(importlib, "import_module", watched)
    yield ran
    assert ran == [], f"a hostile folder ran {ran}"


PAYLOAD = {"class_path": "os.system", "init_args": {"command": "touch ran"}}
HOSTILE = {
    "a dotted model": {"model": "os.system"},
    "a module and class": {"model": "fairway.models.classical.mixture:GMM"},
    "a path": {"model": "../../gmm"},
    "an empty name": {"model": ""},
    "a class path for a part": {"preprocess": PAYLOAD},
    "a class path among the arguments": {"arguments": {"event": PAYLOAD}},
    "a class path beside the event": {"arguments": {"event": {"event": {"shape": [2]}}, **PAYLOAD}},
    "a dotted preprocessing": {"preprocess": {"preprocessing": "os.system", "command": "touch ran"}},
    "a part of another role": {"preprocess": {"sampler": "os.system"}},
    "an unknown option": {"arguments": {"event": {"event": {"shape": [2]}}, "command": "touch ran"}},
    "no event": {"arguments": {}},
    "arguments as a list": {"arguments": ["os.system"]},
    "an event that is none": {"arguments": {"event": {"event": "os.system"}}},
    "an impossible shape": {"arguments": {"event": {"event": {"shape": [-3]}}}},
    "a shape of words": {"arguments": {"event": {"event": {"shape": "os.system"}}}},
    "a negative size": {"arguments": {"event": {"event": {"shape": [2]}}, "components": -1}},
    "an endless size": {"arguments": {"event": {"event": {"shape": [2]}}, "components": 10**18}},
    "a dotted dtype": {"dtype": "os.system"},
    "a dtype that is none": {"dtype": ["float32"]},
    "an external nobody offered": {"preprocess": {"external": "os.system"}},
    "units that lead elsewhere": {"preprocess": {"preprocessing": "identity", "event": {"event": {"shape": [9]}}}},
}


@pytest.mark.parametrize("entries", list(HOSTILE.values()), ids=list(HOSTILE))
def test_hostile_configurations(folder, tripwire, entries):
    change(folder, **entries)
    with pytest.raises(BrokenFolder, match=r"cannot be built|does not describe|do not fit"):
        load(folder)


def test_deep_nesting(folder, tripwire):
    text = read_json(folder / "config.json")
    text["arguments"]["components"] = "DEEP"
    (folder / "config.json").write_text(json.dumps(text).replace('"DEEP"', "[" * 5000 + "]" * 5000))
    with pytest.raises(BrokenFolder):
        load(folder)


def test_links(folder, tmp_path, good):
    (tmp_path / "latest").symlink_to(folder, target_is_directory=True)
    assert torch.equal(load(tmp_path / "latest").means, load(good).means)
    for target in ("nowhere", "config.json"):
        (folder / "config.json").unlink()
        (folder / "config.json").symlink_to(target)  # to nothing, then to itself
        with pytest.raises(BrokenFolder, match=r"expected a file config\.json"):
            load(folder)


def test_weights_that_are_a_link_to_something_else(folder, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("the password is swordfish")
    (folder / "weights.safetensors").unlink()
    (folder / "weights.safetensors").symlink_to(secret)
    with pytest.raises(BrokenFolder) as caught:
        load(folder)
    assert "swordfish" not in str(caught.value)
