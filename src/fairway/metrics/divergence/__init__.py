"""Distances and divergences between two laws: tables, densities, Gaussians, sets of samples."""

from fairway.metrics.divergence.rows import draw_like, relative_to
from fairway.metrics.divergence.sliced import DIRECTIONS, sample_distance, sliced_wasserstein, wasserstein_on_lines
