"""Tables from scikit-learn keep their values, names and classes."""

import sys

import pytest
import torch
from sklearn import datasets as peers

from fairway.data.tabular import breast_cancer, wine


@pytest.mark.parametrize("ours, peer", [(wine, peers.load_wine), (breast_cancer, peers.load_breast_cancer)])
def test_values_names_and_labels_are_the_peers(ours, peer):
    data, bunch = ours(), peer()
    assert torch.equal(data.x, torch.tensor(bunch.data)) and data.x.dtype == torch.float64
    assert torch.equal(data.labels, torch.tensor(bunch.target).long())
    assert data.column_names == tuple(bunch.feature_names) and data.label_names == tuple(bunch.target_names)
    assert data.event.kind == "real" and data.protocol == "real"


def test_absent_scikit_learn_is_a_clear_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"scikit-learn for the dataset wine.*pip install fairway\[data\]"):
        wine()
