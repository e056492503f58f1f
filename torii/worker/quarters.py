"""The folder of one run of a worker: locked while it lives, so that the next run can tell what a killed one left and clear it away."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

import structlog

from torii.errors import OperatorError
from torii.worker.build import discard

log = structlog.get_logger()

_LOCK = "lock"


class QuartersError(OperatorError):
    """There is no place where the worker may put its workspaces."""


class Quarters:
    """The folder `root`/`name`. Raises `QuartersError` where it cannot be made."""

    def __init__(self, root: Path, name: str) -> None:
        self.path = root.absolute() / name
        try:
            root.mkdir(parents=True, exist_ok=True)
            _clear(root)
            self.path.mkdir(mode=0o700)
            self.builds.mkdir(mode=0o700)
            self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise QuartersError(
                f"{self.path}: workspaces cannot be put there: {error.strerror or error}; see `workspaces` in server.yml"
            ) from error

    @property
    def builds(self) -> Path:
        """Where each build has a folder of its own."""
        return self.path / "builds"

    @property
    def scratch(self) -> Path:
        """For what all builds share."""
        return self.path / "shared"

    def leave(self) -> None:
        """Delete the folder with everything in it."""
        discard(self.path)
        os.close(self._lock)


def _clear(root: Path) -> None:
    """Delete what workers left that live no more. A folder without a lock yet may be one that is just being made: it stays for a day."""
    for folder in sorted(root.iterdir()):
        if not folder.is_dir() or folder.is_symlink():
            continue
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            else:
                log.info("worker.leftovers_cleared", folder=str(folder))
                discard(folder)
            finally:
                os.close(lock)
