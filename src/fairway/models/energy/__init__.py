"""Energies: p(x) = exp(f(x)) q(x) / Z."""
