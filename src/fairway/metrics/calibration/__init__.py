"""Does a model know what it does not know? Every check asks whether some u is uniform on (0, 1).

u                            from                                             file
probability transform        pit(model, x)                                    pit
level of a region around x   central_level(u), highest_density_level(...)     coverage
rank of the truth            simulation_based_calibration(model, x, context)  simulation_based
and the tests of it          chi_square_test(u), ecdf_test(u), ecdf_band(n)   uniformity
"""

from fairway.metrics.calibration.coverage import central_level, coverage, highest_density_level
from fairway.metrics.calibration.pit import pit, pit_from_cdf, randomised_rank
from fairway.metrics.calibration.simulation_based import (
    Calibration,
    completion_calibration,
    simulation_based_calibration,
)
from fairway.metrics.calibration.uniformity import chi_square_test, ecdf_band, ecdf_test

__all__ = (
    "Calibration",
    "central_level",
    "chi_square_test",
    "completion_calibration",
    "coverage",
    "ecdf_band",
    "ecdf_test",
    "highest_density_level",
    "pit",
    "pit_from_cdf",
    "randomised_rank",
    "simulation_based_calibration",
)
