"""The papers behind a model, as BibTeX."""

from fairway.models.registry import models


def test_prints_the_entries(cli):
    ended = cli("cite", "real_nvp")
    assert ended.code == 0 and ended.out.startswith("@inproceedings{dinh2017real_nvp,") and ended.out.endswith("}\n")


def test_every_model_can_be_cited(cli):
    for name in models:
        assert cli("cite", name).out.startswith("@"), name


def test_mistakes(cli):
    assert cli("cite", "real_nvpp").error == "no model named 'real_nvpp'; did you mean 'real_nvp'?"
    assert cli("cite").error.startswith("expected MODEL: ")
    assert cli("cite", "gmm", "made").error == "expected MODEL and options, got also 'made'"
    assert "no model named 'os.system'" in cli("cite", "os.system").error
