"""Inception needs its packages and its file, says so, and gets bytes in three channels."""

import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from fairway.metrics.features import inception
from fairway.metrics.features.inception import to_bytes


class Stand(nn.Module):
    """Takes the arguments of the real network, and returns each channel's mean."""

    def __init__(self, name, features_list, feature_extractor_weights_path):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.asked = (name, features_list, feature_extractor_weights_path)

    def forward(self, x):
        assert x.dtype == torch.uint8 and x.shape[1] == 3
        return x.float().mean((2, 3))


@pytest.fixture
def installed(monkeypatch):
    fid = ModuleType("torchmetrics.image.fid")
    fid.NoTrainInceptionV3 = Stand
    for name in ("torch_fidelity", "torchmetrics", "torchmetrics.image"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", fid)


def test_without_its_packages_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(ImportError, match="pip install torchmetrics torch-fidelity"):
        inception("weights.pth")


def test_without_its_file_it_says_where_to_put_it(installed, tmp_path, monkeypatch):
    monkeypatch.setenv("FAIRWAY_INCEPTION", str(tmp_path / "none.pth"))
    with pytest.raises(FileNotFoundError, match=r"none\.pth, found no file; get pt_inception.*FAIRWAY_INCEPTION"):
        inception()


def test_the_network_gets_bytes_and_its_name_says_layer_and_resize(installed, tmp_path):
    (tmp_path / "w.pth").touch()
    extractor = inception(tmp_path / "w.pth", layer=192, low=-1, high=1)
    assert extractor.module.asked == ("inception-v3-compat", ["192"], str(tmp_path / "w.pth"))
    assert torch.equal(extractor(torch.ones(2, 1, 4, 4)), torch.full((2, 3), 255.0))
    assert extractor.name.startswith("inception-v3-compat 192 ") and extractor.name.endswith("bilinear 299x299")


def test_wrong_layers_ranges_and_shapes_are_refused():
    with pytest.raises(ValueError, match="layer 5"):
        inception("w", layer=5)
    with pytest.raises(ValueError, match="low < high"):
        inception("w", low=1, high=0)
    with pytest.raises(ValueError, match="expected images"):
        to_bytes(torch.ones(2, 4, 8, 8), 0, 1)
