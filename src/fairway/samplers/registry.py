"""Samplers and kernels by name (a kernel is wrapped into a sampler where one is expected)."""

from fairway.core.registry import Registry

SAMPLERS = {
    "direct": "fairway.core.sampler:Direct",
    "mcmc": "fairway.samplers.mcmc:MCMC",
    "fixed": "fairway.samplers.mcmc:Fixed",
    "langevin": "fairway.samplers.langevin:Langevin",
    "probability_flow": "fairway.samplers.ode:ProbabilityFlow",
}

samplers = Registry("sampler", SAMPLERS)
