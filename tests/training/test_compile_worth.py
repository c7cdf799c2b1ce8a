"""When compiling pays, on made-up numbers, and what is remembered between runs."""

import pytest
import torch

from fairway.core.event import Event
from fairway.core.objective import Step
from fairway.models.flow.real_nvp import RealNVP
from fairway.objectives.mle import MLE
from fairway.training.compile_worth import COLD, NAME, PATIENCE, Record, key_of, recall, remember, worthwhile


def test_with_a_record_the_time_saved_must_exceed_the_time_to_compile():
    record = Record(compile_seconds=10.0, gain=2.0)  # saves half of every step
    assert not worthwhile(0.01, 2_000, record) and worthwhile(0.01, 2_001, record)


def test_a_measured_loss_outweighs_what_a_model_declares():
    assert not worthwhile(1.0, 10**6, Record(1.0, 0.9), declared=True)
    assert worthwhile(1.0, 10**6, Record(1.0, 1.1), declared=False)


def test_without_a_record_only_declared_models_in_long_fits_are_compiled():
    enough = int(PATIENCE * COLD / 0.01) + 1
    assert worthwhile(0.01, enough, None, declared=True)
    assert not worthwhile(0.01, enough, None) and not worthwhile(0.01, enough - 2, None, declared=True)


@pytest.mark.parametrize("seconds, gain", [(0.0, 1.0), (1.0, float("nan")), (float("inf"), 1.0), (1.0, "2"), (1, True)])
def test_a_record_is_two_positive_numbers(seconds, gain):
    with pytest.raises(ValueError, match="positive number"):
        Record(seconds, gain)


def test_records_are_kept_with_the_least_compile_time_and_the_last_gain(tmp_path):
    folder = tmp_path / "cache"
    assert recall("a", folder) is None
    remember("a", Record(60.0, 1.4), folder)
    remember("b", Record(5.0, 2.0), folder)
    remember("a", Record(6.0, 1.3), folder)
    remember("a", Record(70.0, 1.5), folder)
    assert recall("a", folder) == Record(6.0, 1.5) and recall("b", folder) == Record(5.0, 2.0)
    assert [path.name for path in folder.iterdir()] == [NAME]


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", '{"a": 3}', '{"a": {"gain": "x", "compile_seconds": 1}}', '{"a": {}}', "[" * 10**5, "\0"]
)
def test_a_file_that_cannot_be_read_is_no_record_and_is_begun_anew(tmp_path, text):
    (tmp_path / NAME).write_text(text)
    assert recall("a", tmp_path) is None
    remember("a", Record(1.0, 2.0), tmp_path)
    assert recall("a", tmp_path) == Record(1.0, 2.0)


def test_a_folder_that_cannot_be_written_costs_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    remember("a", Record(1.0, 2.0), tmp_path / "file")
    assert recall("a", tmp_path / "file") is None


def test_records_lie_beside_torchs_own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    remember("a", Record(1.0, 2.0))
    assert (tmp_path / NAME).exists() and recall("a") == Record(1.0, 2.0)


def test_a_key_changes_with_what_changes_the_gain_and_not_with_the_weights():
    def key(batch_size=8, threads=1, precision="float32", dtype=torch.float32, **options):
        model = RealNVP(Event((2,)), **{"transforms": 2, "hidden": (8,), **options}).to(dtype)
        return key_of(Step(model, MLE()), batch_size, threads, precision)

    same = key()
    assert key() == same  # other weights
    others = [key(batch_size=9), key(threads=2), key(precision="bfloat16"), key(dtype=torch.float64), key(hidden=(9,))]
    assert len({same, *others}) == 6
