"""Files are found in the folder or its subfolder, and only with their digests."""

import hashlib
from pathlib import Path

import pytest

from fairway.data.locate import check_digest, locate, places_in

DIGEST = hashlib.sha256(b"some bytes").hexdigest()


def write(path, text=b"some bytes"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    return path


def test_the_subfolder_comes_before_the_folder(tmp_path):
    outside = write(tmp_path / "data.npy")
    assert locate("a set", {"data.npy": DIGEST}, "a place", tmp_path, "set") == [outside]
    inside = write(tmp_path / "set" / "data.npy")
    assert locate("a set", {"data.npy": DIGEST}, "a place", tmp_path, "set") == [inside]


def test_the_environment_says_where_to_look_unless_a_folder_does(tmp_path, monkeypatch):
    monkeypatch.setenv("FAIRWAY_DATA", str(tmp_path))
    assert places_in(None, "set") == [tmp_path / "set", tmp_path]
    assert places_in("~/here") == [Path("~/here").expanduser()]
    monkeypatch.delenv("FAIRWAY_DATA")
    assert places_in(None, "set") == []


def test_what_is_absent_is_named_with_where_to_get_it(tmp_path):
    write(tmp_path / "one")
    with pytest.raises(
        FileNotFoundError, match=rf"a set in {tmp_path} or {tmp_path}/set, found no two; .* a place and"
    ):
        locate("a set", {"one": None, "two": None}, "a place", tmp_path, "set")


def test_another_digest_is_refused_and_an_unknown_one_is_not(tmp_path):
    path = write(tmp_path / "one", b"other bytes")
    check_digest(path, None)
    with pytest.raises(ValueError, match=rf"SHA-256 {DIGEST[:12]}\.\.\., got .*download it again"):
        check_digest(path, DIGEST)
