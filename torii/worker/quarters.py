"""The folder of one run of a worker: locked while it lives, so that the next run can tell what a killed one left and clear it away."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import structlog

from torii.errors import OperatorError
from torii.worker.build import discard

log = structlog.get_logger()

_LOCK = "lock"
_DEAD = ".dead-"


class QuartersError(OperatorError):
    """There is no place where the worker may put its workspaces."""


class Quarters:
    """The folder `root`/`name`. Raises `QuartersError` where it cannot be made."""

    def __init__(self, root: Path, name: str) -> None:
        self.path = root.absolute() / name
        try:
            root.mkdir(parents=True, exist_ok=True)
            with _alone_in(root):
                _set_aside(root)
                self.path.mkdir(mode=0o700)
                self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.builds.mkdir(mode=0o700)
            for dead in root.glob(f"{_DEAD}*"):
                log.info("worker.leftovers_cleared", folder=str(dead))
                discard(dead)
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


@contextlib.contextmanager
def _alone_in(root: Path) -> Iterator[None]:
    """Let no other worker come or look meanwhile: one that has made its folder, but not locked it yet, would be taken for dead."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _set_aside(root: Path) -> None:
    """Rename what workers left that live no more, so that it can be deleted at leisure. A folder without a lock is none of a worker's."""
    for folder in sorted(root.iterdir()):
        if not folder.is_dir() or folder.is_symlink() or folder.name.startswith(_DEAD):
            continue
        with contextlib.suppress(FileNotFoundError):
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                folder.rename(root / f"{_DEAD}{folder.name}")
            except BlockingIOError:
                continue
            finally:
                os.close(lock)
