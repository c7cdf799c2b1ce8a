"""Distances and divergences between two laws: tables, densities, Gaussians, sets of samples."""

from fairway.metrics.divergence.f_divergence import f_divergence, f_divergence_of_densities, kl, lower_bound
from fairway.metrics.divergence.gaussian import (
    Gaussian,
    gaussian,
    gaussian_bhattacharyya,
    gaussian_jeffreys,
    gaussian_kl,
    gaussian_of,
    gaussian_squared_hellinger,
    gaussian_w2,
)
from fairway.metrics.divergence.generators import F_DIVERGENCES, FDivergence
from fairway.metrics.divergence.kernel import energy_distance, kernel_distance, median_distance, squared_mmd
from fairway.metrics.divergence.line import wasserstein_on_line
from fairway.metrics.divergence.neighbours import neighbour_bound, neighbour_kl
from fairway.metrics.divergence.rows import draw_like, relative_to
from fairway.metrics.divergence.sliced import DIRECTIONS, sample_distance, sliced_wasserstein, wasserstein_on_lines
from fairway.metrics.divergence.summary import divergences
from fairway.metrics.divergence.table import Table, parallel_lines, table, table_divergences
from fairway.metrics.divergence.transport import Transport, dual_potential, optimal_transport, wasserstein
