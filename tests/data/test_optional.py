"""A package that is absent is named, with the command that brings it."""

import pytest

from fairway.data.optional import need


def test_present_module_is_returned():
    assert need("math", "a test").pi > 3


def test_absent_module_says_what_to_install():
    with pytest.raises(ImportError, match=r"absent_package for the dataset x.*pip install fairway\[data\]"):
        need("absent_package.part", "the dataset x")
