"""One line per finished model where there is no terminal; silence on request."""

from fairway.report.progress import Progress, summary
from fairway.report.row import Row


def test_a_line_for_each_finished_model(rows, capsys, tmp_path):
    with Progress(["flow_matching", "broken"], 30.0) as bar:
        bar.tick("flow_matching", tmp_path / "state", 3.0)
        bar.finish("flow_matching", rows[0])
        bar.finish("broken", rows[3])
    said = capsys.readouterr()
    assert said.out == "" and "1 of 2  flow_matching" in said.err and "≤ 2.200 ± 0.013 bits/dim" in said.err
    assert "2 of 2  broken" in said.err and "failed: ValueError" in said.err


def test_silence(rows, capsys):
    with Progress(["made"], None, show=False) as bar:
        bar.finish("made", rows[1])
    assert capsys.readouterr() == ("", "")


def test_a_live_bar_on_a_terminal(rows, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    (tmp_path / "state").write_text("measuring")
    with Progress(["made"], 30.0) as bar:
        bar.tick("made", tmp_path / "missing", 1.0)
        bar.tick("made", tmp_path / "state", 31.0)
        bar.finish("made", rows[1])
    assert "1 of 1" in capsys.readouterr().err


def test_what_came_out_in_a_few_words(rows, make_likelihood):
    assert summary(rows[2]) == "no likelihood, 12,345 steps in 30.0 s"
    table = Row("x", likelihood=make_likelihood("equal", "exact", bits=None), steps=3, training_seconds=0.5)
    assert summary(table) == "= -80.000 ± 0.500 nats, 3 steps in 0.5 s"
