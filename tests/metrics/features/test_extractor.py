"""Extractors say what they are, change nothing, and answer finite (n, F)."""

import pytest
import torch
from torch import nn

from fairway.metrics.features.extractor import ModuleFeatures, Named, both, digest, features_of, protocol_of, raw


def test_raw_features_are_the_rows_themselves_in_batches():
    x = torch.arange(1200 * 6).reshape(1200, 2, 3)
    found = features_of(raw, x)
    assert found.dtype == torch.float64 and torch.equal(found, x.reshape(1200, 6).double())


def test_a_module_is_asked_in_eval_mode_and_left_as_it_was():
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Dropout(0.5))
    extractor = ModuleFeatures(net, "mine")
    x = torch.ones(3, 2, 2)
    first = extractor(x)
    assert torch.equal(first, extractor(x)) and not first.requires_grad and net.training
    net[1].weight.data.add_(1)
    assert ModuleFeatures(net, "mine").name != extractor.name and extractor.name.endswith("resize none")


def test_rows_are_prepared_and_the_resize_is_said():
    extractor = ModuleFeatures(nn.Flatten(), "crop", prepare=lambda x: x[:, :2], resize="first two")
    assert features_of(extractor, torch.ones(5, 4)).shape == (5, 2) and "resize first two" in extractor.name


def test_a_digest_tells_weights_apart():
    assert digest([torch.ones(3)]) == digest([torch.ones(3)]) != digest([torch.ones(3) * 2])


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"of shape \(n, \*E\), got \(3,\)"):
        features_of(raw, torch.ones(3))
    with pytest.raises(ValueError, match="at least 2"):
        both(torch.ones(1, 3), torch.ones(4, 3), raw)
    with pytest.raises(ValueError, match="row 2"):
        features_of(raw, torch.tensor([[0.0], [1.0], [float("nan")]]))
    with pytest.raises(ValueError, match=r"expected features \(n, F\)"):
        features_of(Named("flat", lambda x: x.sum(1)), torch.ones(4, 3))
    with pytest.raises(ValueError, match="as many features, got 3 and 2"):
        both(torch.ones(4, 3), torch.ones(4, 2), raw)


def test_a_protocol_names_extractor_sizes_split_and_settings():
    assert protocol_of(raw, 5, 6, k=3) == "features raw; n 5, 6; split not stated; k 3"
