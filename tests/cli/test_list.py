"""Every model in a line; `--capability` asks the classes."""

from fairway.cli.list import answering
from fairway.models.registry import models


def test_every_model_has_a_line_with_its_family_and_what_it_is(cli):
    lines = {line.split()[0]: line for line in cli("list").out.splitlines()}
    assert set(models) <= set(lines)
    assert lines["real_nvp"].split()[1] == "flow" and "coupling" in lines["real_nvp"]
    assert all(len(line) <= 120 and len(line.split()) > 3 for line in lines.values())


def test_capability_selects(cli):
    assert {"gmm", "made", "real_nvp"} <= set(answering("log_prob"))
    assert not {"wgan_gp", "ebm", "vae"} & set(answering("log_prob"))
    named = [line.split()[0] for line in cli("list", "--capability", "bound").out.splitlines()]
    assert "vae" in named and "gmm" not in named
    assert answering("log-prob") == answering("log_prob")


def test_mistakes(cli):
    assert cli("list", "--capability", "lgo_prob").error == "no capability 'lgo_prob'; did you mean 'log_prob'?"
    assert cli("list", "--capabilty", "score").error == "no option --capabilty; did you mean '--capability'?"
    assert cli("list", "--capability").error == "expected a value after --capability, got none"
    assert cli("list", "extra").error == "expected options, got also 'extra'"
