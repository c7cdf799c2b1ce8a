"""Numbers as they are written, with the sign that their relation asks for."""

import json
import math

import pytest

from fairway.report.row import NOTHING, Row, columns, jsonable, likelihood_text, number, plain, seconds, unit, whole


@pytest.mark.parametrize(
    ("relation", "bits", "expected"),
    [
        ("equal", 2.2, "= 2.200 ± 0.013"),
        ("lower", 2.2, "≤ 2.200 ± 0.013"),  # a likelihood of at least this much is a code of at most these bits
        ("upper", 2.2, "≥ 2.200 ± 0.013"),
        ("equal", None, "= -80.000 ± 0.500"),
        ("lower", None, "≥ -80.000 ± 0.500"),
        ("upper", None, "≤ -80.000 ± 0.500"),
        ("none", 2.2, NOTHING),
    ],
)
def test_the_sign_of_a_likelihood(make_likelihood, relation, bits, expected):
    assert likelihood_text(Row("x", likelihood=make_likelihood(relation, "exact", bits=bits))) == expected


def test_a_row_without_likelihood_says_nothing(make_likelihood):
    assert likelihood_text(Row("x")) == NOTHING
    one_row = {**make_likelihood("equal", "exact"), "bits_per_dim_error": math.nan}
    assert likelihood_text(Row("x", likelihood=one_row)) == "= 2.200"


def test_numbers_keep_three_digits_and_no_exponent_where_it_fits():
    found = [number(v) for v in (0.23456, 12.345, 1234.5, 0.0, None, math.nan, math.inf, 1.5e-9)]
    assert found == ["0.235", "12.3", "1234", "0", NOTHING, NOTHING, "inf", "1.50e-09"]
    assert (whole(1234567), whole(None)) == ("1,234,567", NOTHING)
    assert (plain(1.0), plain(64.5), plain(None)) == ("1", "64.5", NOTHING)
    assert (seconds(0.034), seconds(29.97), seconds(None)) == ("0.03", "30.0", NOTHING)


def test_json_has_neither_nan_nor_infinity(make_likelihood):
    row = Row("x", likelihood=make_likelihood("none", "none", math.nan, math.nan), distance=math.inf)
    again = json.loads(json.dumps(row.to_dict(), allow_nan=False))
    assert again["likelihood"]["nats"] is None and again["distance"] == "inf"
    assert jsonable({1: (math.nan, -math.inf, 2)}) == {"1": [None, "-inf", 2]}


def test_columns_follow_what_the_rows_have(rows, make_likelihood):
    assert {"sure", "present"} < {column.key for column in columns(rows)}
    assert "held-out rows: 0.96" in next(column.meaning for column in columns(rows) if column.key == "sure")
    table = [Row("x", likelihood=make_likelihood("equal", "exact", bits=None))]
    assert not {"sure", "present"} & {column.key for column in columns(table)}
    assert columns(table)[0].short == "nats" and columns(rows)[0].short == "bits/dim"


def test_every_column_writes_every_row(rows):
    for column in columns(rows):
        assert all(isinstance(column.text(row), str) and column.text(row) for row in rows)


def test_the_unit_is_what_the_text_counts_in(make_likelihood):
    found = [unit(Row("x", likelihood=make_likelihood("equal", "exact", bits=bits))) for bits in (2.2, None)]
    assert found == ["bits/dim", "nats"] and unit(Row("x")) == "nats"
