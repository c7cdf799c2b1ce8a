"""Normalizing flows: a base density and a chain of invertible transforms."""
