"""Densities by counting, Gaussians and their mixtures."""
