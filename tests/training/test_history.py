"""One row per step, in memory and in a journal that survives kills and resumes."""

import json
import math

from fairway.training.history import History, Journal, read_rows


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_is_logged_twice_for_a_step_is_one_row():
    history = History()
    history.add({"step": 1, "loss": 2.0})
    history.add({"step": 1, "monitor": 3.0})
    history.add({"step": 2, "loss": 1.0})
    assert history.rows == [{"step": 1, "loss": 2.0, "monitor": 3.0}, {"step": 2, "loss": 1.0}]
    assert history.curve("loss") == [(1, 2.0), (2, 1.0)]
    assert history.curve("monitor") == [(1, 3.0)]
    history.forget_after(1)
    assert [row["step"] for row in history.rows] == [1]


def test_a_summary_is_plain_json():
    assert json.loads(json.dumps(History().summary()))["best"] is None
    assert History(best=1.5, steps=3).summary()["best"] == 1.5


def test_a_fresh_journal_starts_empty(tmp_path):
    path = tmp_path / "deep" / "metrics.jsonl"
    Journal(path).append({"step": 5})
    Journal(path).append({"step": 1, "loss": math.inf})
    assert read_rows(path) == [{"step": 1, "loss": math.inf}]


def test_a_resumed_journal_drops_what_will_come_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    journal = Journal(path)
    for step in (50, 100, 150):
        journal.append({"step": step, "loss": 1 / step})
    with path.open("a") as file:
        file.write('{"step": 200, "lo')  # the kill came in the middle of a row
    Journal(path, step=100).append({"step": 150, "loss": 9.0})
    assert [row["step"] for row in lines(path)] == [50, 100, 150]
    assert read_rows(path)[-1] == {"step": 150, "loss": 9.0}
    assert read_rows(path)[0]["loss"] == 1 / 50


def test_earlier_stages_stay_and_later_ones_go(tmp_path):
    path = tmp_path / "metrics.jsonl"
    Journal(path).append({"step": 50})
    Journal(path, stage=1).append({"step": 50})
    Journal(path, step=25, stage=1).append({"step": 30})
    assert [(row.get("stage", 0), row["step"]) for row in lines(path)] == [(0, 50), (1, 30)]
    assert [row["step"] for row in read_rows(path, stage=1)] == [30]
    assert len(read_rows(path)) == 2
    Journal(path, step=50)
    assert read_rows(path) == [{"step": 50}]


def test_foreign_lines_are_skipped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('garbage\n[1]\n{"loss": 1}\n{"step": "3"}\n{"step": 2}\n')
    assert read_rows(path) == [{"step": 2}]
    assert read_rows(tmp_path / "none.jsonl") == []


def test_no_path_no_file(tmp_path):
    Journal(None).append({"step": 1})
    assert list(tmp_path.iterdir()) == []
