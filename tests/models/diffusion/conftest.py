"""Data whose denoiser is known."""

import pytest
import torch


@pytest.fixture
def mixture():
    """weights, means, covariances of three correlated components in two dimensions, of scale about 1 in all."""
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    means = torch.tensor([[-1.0, 0.4], [0.9, 0.8], [0.6, -1.2]], dtype=torch.float64)
    roots = torch.tensor(
        [[[0.5, 0.0], [0.2, 0.3]], [[0.3, 0.0], [-0.2, 0.4]], [[0.4, 0.0], [0.1, 0.2]]], dtype=torch.float64
    )
    return weights, means, roots @ roots.mT
