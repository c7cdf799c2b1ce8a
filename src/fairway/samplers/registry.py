"""Samplers, kernels and drivers by name (a kernel is wrapped into a sampler where one is expected)."""

from fairway.core.registry import Registry

SAMPLERS = {
    "direct": "fairway.core.sampler:Direct",
    "temperature": "fairway.samplers.temperature:Temperature",
    "truncated": "fairway.samplers.truncation:Truncated",
    "guided": "fairway.samplers.guidance:Guided",
    "tweedie": "fairway.samplers.tweedie:Tweedie",
    "mcmc": "fairway.samplers.mcmc:MCMC",
    "probability_flow": "fairway.samplers.ode:ProbabilityFlow",
    "adaptive_flow": "fairway.samplers.adaptive_ode:AdaptiveFlow",
    "ddim": "fairway.samplers.ddim:DDIM",
    "ancestral": "fairway.samplers.ddim:Ancestral",
    "reverse_steps": "fairway.samplers.reverse_steps:ReverseSteps",
    "heun": "fairway.samplers.heun:Heun",
    "dpm_solver": "fairway.samplers.dpm_solver:DPMSolver",
    "dpm_solver_sde": "fairway.samplers.dpm_solver:DPMSolverSDE",
    "reverse_sde": "fairway.samplers.reverse_sde:ReverseSDE",
    "predictor_corrector": "fairway.samplers.reverse_sde:PredictorCorrector",
    "annealed_langevin": "fairway.samplers.annealed_langevin:AnnealedLangevin",
    # kernels
    "langevin": "fairway.samplers.langevin:Langevin",
    "underdamped": "fairway.samplers.underdamped:Underdamped",
    "random_walk": "fairway.samplers.metropolis:RandomWalk",
    "hmc": "fairway.samplers.hmc:HMC",
    "nuts": "fairway.samplers.nuts:NUTS",
    "gibbs": "fairway.samplers.gibbs:Gibbs",
    "compiled": "fairway.samplers.compiled:Compiled",
    "compiled_loop": "fairway.samplers.compiled_loop:CompiledLoop",
    # drivers
    "fixed": "fairway.samplers.driver:Fixed",
    "long": "fairway.samplers.driver:Long",
    "annealed": "fairway.samplers.annealing:Annealed",
    "ais": "fairway.samplers.ais:AIS",
    "simulated_tempering": "fairway.samplers.simulated_tempering:SimulatedTempering",
    "smc": "fairway.samplers.smc:SMC",
    "parallel_tempering": "fairway.samplers.parallel_tempering:ParallelTempering",
}

samplers = Registry("sampler", SAMPLERS)
