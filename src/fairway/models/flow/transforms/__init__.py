"""Invertible maps with their log-determinants, and the univariate functions they are made of."""
