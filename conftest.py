"""What every test run shares: the examples in prose are tests, random examples repeat, and missing data is not a pass.

The blocks of README.md and docs/*.md marked ``python`` run in order, one namespace per file, in a temporary folder; so
do the ``>>>`` examples in the docstrings of src/. ``<!-- skip: next -->`` above a block leaves it out. Since a block
builds on the one before, these run in one process, without ``-n``.
"""

import os

import pytest
from hypothesis import settings
from sybil import Sybil
from sybil.parsers.doctest import DocTestParser
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

settings.register_profile("fairway", deadline=None, derandomize=True)
settings.load_profile("fairway")


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    """A document's examples may write: its working directory is a temporary folder."""
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("examples"))
    yield
    os.chdir(before)


prose = Sybil([PythonCodeBlockParser(), SkipParser()], patterns=["README.md", "docs/*.md"], fixtures=["scratch"])
docstrings = Sybil([DocTestParser()], path="src", patterns=["*.py"], fixtures=["scratch"])
pytest_collect_file = (prose + docstrings).pytest()


def fail_if_skipped_for_data(report):
    """Where FAIRWAY_DATA is set, a skip whose reason names it is a failure: the data set should have been there."""
    if report.skipped and os.environ.get("FAIRWAY_DATA") and "FAIRWAY_DATA" in str(report.longrepr):
        report.outcome, report.longrepr = "failed", f"skipped although FAIRWAY_DATA is set: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    return fail_if_skipped_for_data((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report():
    return fail_if_skipped_for_data((yield))
