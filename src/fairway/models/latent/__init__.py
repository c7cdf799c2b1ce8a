"""Latent variables: p(x) = int p(x | z) p(z) dz, learned by a bound."""
