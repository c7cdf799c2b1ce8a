"""Have the chains converged, and how much are their draws worth?

Everything here reads a trace: draws (draws, chains, *U), steps first and chains second, as `Draws.trace`; one number
per entry of *U comes back, in float64.

    rhat    spread of all chains / spread within a chain, 1 when they agree         above 1.01: do not use the draws
    ess     how many independent draws would tell as much about a mean, a tail, ... (bulk and tail: 100 per chain)
    mcse    Monte Carlo standard error of an estimate, = its spread / sqrt(ess)     same unit as the draws

`summary` puts them in a table, `to_arviz` hands the trace on, `modes` tells whether chains move between known modes,
and `Statistics` keeps what is needed of a chain too long to store. The numbers are those of Vehtari, Gelman, Simpson,
Carpenter & Buerkner (2021), "Rank-normalization, folding, and localization", equal to R's package posterior.
"""

from fairway.samplers.diagnostics.ess import ess_bulk, ess_mean, ess_median, ess_quantile, ess_raw, ess_sd, ess_tail
from fairway.samplers.diagnostics.mcse import mcse_mean, mcse_median, mcse_quantile, mcse_sd
from fairway.samplers.diagnostics.modes import Modes, modes
from fairway.samplers.diagnostics.rhat import rhat, rhat_raw
from fairway.samplers.diagnostics.statistics import Statistics
from fairway.samplers.diagnostics.summary import Summary, summary, to_arviz
