"""Drivers."""

import pytest

from fairway.samplers.driver import Fixed


def test_wrong_lengths_are_refused():
    with pytest.raises(ValueError, match="steps >= 1"):
        Fixed(0)
