"""Generators judged by a critic."""
