"""Distances and divergences between two laws: tables, densities, Gaussians, sets of samples."""

from fairway.metrics.divergence.f_divergence import f_divergence, f_divergence_of_densities, kl, lower_bound
from fairway.metrics.divergence.generators import F_DIVERGENCES, FDivergence
from fairway.metrics.divergence.rows import draw_like, relative_to
from fairway.metrics.divergence.sliced import DIRECTIONS, sample_distance, sliced_wasserstein, wasserstein_on_lines
