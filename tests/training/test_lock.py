"""One writer at a time; what a killed one leaves is no obstacle."""

import os
import signal
import subprocess
import sys
import time

import pytest

from fairway.training.lock import NAME, InUse, locked

HOLD = """
import pathlib, sys, time
from fairway.training.lock import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_told_who_is_at_work_and_a_killed_one_is_forgotten(holder, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(InUse, match=f"written by process {holder.pid} on .*another folder"), locked(folder):
        pytest.fail("both write")
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (folder / NAME).exists()
    with locked(folder):
        assert str(os.getpid()) in (folder / NAME).read_text()
    assert not (folder / NAME).exists()


def test_one_process_may_not_write_twice_either(tmp_path):
    with locked(tmp_path):
        with pytest.raises(InUse), locked(tmp_path):
            pytest.fail("both write")
        assert (tmp_path / NAME).exists()
    with locked(tmp_path):
        pass


def test_a_folder_that_came_to_nothing_goes_and_what_was_there_stays(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path / "a" / "run"):
        raise ZeroDivisionError
    assert not (tmp_path / "a" / "run").exists()
    with locked(tmp_path / "run"):
        (tmp_path / "run" / "config.json").write_text("")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.json"]


def test_a_link_in_its_place_is_not_written_through(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("untouched")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / NAME).symlink_to(precious)
    with pytest.raises(OSError, match="symbolic links"), locked(folder):
        pytest.fail("went through a link")
    assert precious.read_text() == "untouched"


def test_a_pipe_in_its_place_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / NAME)
    start = time.monotonic()
    with pytest.raises(OSError), locked(tmp_path):
        pytest.fail("locked a pipe")
    assert time.monotonic() - start < 5
