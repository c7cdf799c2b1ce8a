"""How models are judged: likelihoods, distances between samples, cost."""
