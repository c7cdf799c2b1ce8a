"""The table fits a terminal of 120 columns and hides nothing."""

from fairway.report.row import Row
from fairway.report.table import WIDTH, as_text


def test_it_fits_the_terminal_and_cuts_nothing(rows):
    text = as_text(rows, "digits: 4 models compared", ["protocol: grey levels 0..16"])
    lines = text.splitlines()
    assert WIDTH == 120 and max(map(len, lines)) <= WIDTH and "…" not in text
    for word in ("flow_matching", "≤ 2.200 ± 0.013", "numerical", "1,231,936", "12,345", "10/10", "30.0", "340"):
        assert word in text
    assert lines[0].startswith("digits: 4 models compared") and "protocol: grey levels 0..16" in text


def test_models_stand_above_references_in_the_order_asked_for(rows):
    text = as_text([rows[4], *rows[:4], rows[5]])
    places = [text.index(row.name) for row in rows]
    assert places == sorted(places)


def test_a_failed_row_says_why_below(rows):
    text = as_text(rows)
    line = next(line for line in text.splitlines() if line.startswith("broken "))
    assert "failed" in line and "broken failed: ValueError: expected <b>scale</b> & offset" in text


def test_brackets_in_a_name_are_not_markup():
    assert "[red]x" in as_text([Row("x", status="failed", reason="[red]x")])
