"""How a fit runs: stages, steps, optimisers, checkpoints, history, guard, run folder."""
