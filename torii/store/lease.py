"""The right to be the one scheduler of a state folder. Whatever needs that right takes a `Lease`, which only its holder can have."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from torii.errors import OperatorError

LOCK_FILE = "scheduler.lock"


class LeaseError(OperatorError):
    """Another scheduler holds the lease, or its file cannot be made."""


class Lease:
    """An exclusive lock on `<state>/scheduler.lock`: to construct one is to acquire it. Raises LeaseError.

    The kernel holds it, so it ends with the process, however that ends; the file stays and says nothing by being there.
    """

    def __init__(self, state: Path) -> None:
        self.path = state / LOCK_FILE
        self._file: int | None = _lock(self.path)

    @property
    def held(self) -> bool:
        """Whether it still is ours: until `close`."""
        return self._file is not None

    def close(self) -> None:
        """Give the lease up. A second call does nothing."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(file, 0)
            os.close(file)

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def acquire_lease(state: Path) -> Lease:
    """Return the lease of `state` (made where it is not there), or raise LeaseError naming the process that has it."""
    return Lease(state)


def holder_of(state: Path) -> int | None:
    """Return the process that is the scheduler of `state`, None where none is. For showing only: that may change meanwhile."""
    try:
        holder = int((state / LOCK_FILE).read_text())
    except (OSError, ValueError):
        return None
    return holder if holder > 0 and Path(f"/proc/{holder}").exists() else None


def _lock(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise LeaseError(f"{path} cannot be made: {error.strerror}; check that the folder belongs to the user that runs Torii") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError as error:
        holder = os.pread(file, 32, 0).decode("ascii", "replace").strip()
        os.close(file)
        who = f"process {holder}" if holder else "another process"
        raise LeaseError(
            f"{path.parent} already has its scheduler: {who}; stop that one first, or give this one a --state of its own"
        ) from error
    except OSError as error:
        os.close(file)
        raise LeaseError(f"{path} cannot be locked or written: {error.strerror}; check the disk and its file system") from error
    return file
