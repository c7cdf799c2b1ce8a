"""Noise levels: denoisers, scores and velocities from noise (t = 1) to data (t = 0)."""
