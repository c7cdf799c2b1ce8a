"""The card says what was trained, on what, and what can be asked."""

from fairway.training.card import card
from fairway.training.fit import fit


def written(folder):
    return (folder / "card.md").read_text()


def test_a_card_of_a_network_and_of_a_solver(x, small, tmp_path):
    fit("real_nvp", x, steps=4, seed=3, out=tmp_path / "a", **small)
    text = written(tmp_path / "a")
    assert text.startswith("# real_nvp on ")
    for part in ("4 steps", "seed: 3", "200 rows", "held-out loss", "log_prob", "dinh2017real_nvp"):
        assert part in text, part
    fit("gmm", x, components=2, out=tmp_path / "b")
    assert "held-out" not in written(tmp_path / "b"), "nothing was held out"


def test_a_card_survives_a_poor_record(flow):
    history = {"steps": 0, "seconds": 0.0, "stopped": "", "monitor": None, "best": None, "best_step": 0}
    assert "real_nvp" in card(flow, {}, {"history": history, "fit": {"seed": 0}})
