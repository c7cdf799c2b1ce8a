"""Every metric has the one signature that training calls."""

import inspect

import pytest

from fairway.core.event import Event
from fairway.core.registry import registry
from fairway.metrics.registry import METRICS, metrics


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_a_number_of_a_model_and_held_out_rows(name, normal, rows):
    value = metrics[name](normal(Event((3,))).eval(), rows, None, generator=3)
    assert isinstance(value, float) and value == metrics[name](normal(Event((3,))).eval(), rows, None, generator=3)
    assert list(inspect.signature(metrics[name]).parameters) == ["model", "x", "context", "generator"]


def test_the_core_finds_the_table_by_role():
    assert registry("metric") is metrics


def test_every_name_that_the_package_offers_is_there():
    import fairway.metrics as package

    for name in package._WHERE:
        assert callable(getattr(package, name)), name
    with pytest.raises(AttributeError, match="no attribute 'frechett'"):
        package.frechett  # noqa: B018
