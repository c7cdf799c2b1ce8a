import pytest

from fairway.core.event import Event


@pytest.fixture
def event():
    return Event((2,))
