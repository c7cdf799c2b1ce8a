"""What a run's model is made of."""

from fairway.training.run_folder import load


def test_prints_the_table_of_the_loaded_model(cli, runs):
    ended = cli("summary", runs / "flow")
    assert ended.code == 0 and ended.out == f"{load(runs / 'flow').summary()}\n" and "log_prob" in ended.out


def test_mistakes(cli):
    assert cli("summary", "nowhere").error == "expected a run folder, found none at nowhere"
    assert cli("summary").error.startswith("expected RUN: ")
