"""One writer to a run folder: a second one is told who is at work.

The lock is the operating system's (flock), on the file `.lock` of the folder: it ends with the process that holds it,
however that ends, so that a run killed at any moment leaves nothing that a resume would stumble over. The file names
the process for people, and goes when the run does. A system without such locks (Windows, some network disks) has none.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = ".lock"


class InUse(OSError):
    """Another process writes to the folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run folder (made where it is missing) for the block.

    Raises:
        InUse: another process holds it; says which.
    """
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    opened = _acquired(folder / NAME)
    try:
        yield
    finally:
        if opened is not None:
            with suppress(OSError):
                (folder / NAME).unlink()
            os.close(opened)
        if made:
            with suppress(OSError):
                folder.rmdir()  # where nothing came of it


def _acquired(path: Path) -> int | None:
    """The open, locked file; None where the system has no locks."""
    if fcntl is None:
        return None
    while True:
        opened = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(opened, 200).decode(errors="replace").strip() or "another process"
            os.close(opened)
            raise InUse(f"{path.parent} is being written by {holder}: wait for it, or choose another folder") from None
        except OSError:  # a disk without locks
            os.close(opened)
            return None
        if _same_file(opened, path):
            os.ftruncate(opened, 0)
            os.write(opened, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            return opened
        os.close(opened)  # the one before removed it between our opening and our locking


def _same_file(opened: int, path: Path) -> bool:
    """Whether a path still leads to an open file."""
    try:
        return os.path.samestat(os.fstat(opened), path.lstat())
    except FileNotFoundError:
        return False
