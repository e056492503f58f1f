"""What is made once for a machine and used by many processes: jars and initialised sites.

A thing is made beside its place under a lock and moved there when it is whole, so that nobody sees half of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from torii.testing.gerrit.errors import LabError

PATIENCE = 900.0
"""Seconds to wait while another process downloads or initialises."""


def cache_folder(version: str) -> Path:
    """Return where what belongs to Gerrit `version` is kept: under $XDG_CACHE_HOME, else ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "torii" / f"gerrit-{version}"


def made_once(place: Path, make: Callable[[Path], None], limit: float = PATIENCE) -> Path:
    """Return `place`, made by `make(folder)` where it is not there yet; of several callers at once one makes it, and the others wait.

    Raises LabError after waiting `limit` seconds for another, and whatever `make` raises.
    """
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with _locked(place.with_name(f"{place.name}.lock"), limit):
        if not place.exists():
            folder = Path(tempfile.mkdtemp(prefix=f"{place.name}.", dir=place.parent))
            try:
                make(folder)
                folder.rename(place)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    return place


@contextlib.contextmanager
def _locked(path: Path, limit: float) -> Iterator[None]:
    deadline = time.monotonic() + limit
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise LabError(f"{path}: another process has held this lock for {limit:g} s") from None
                time.sleep(0.1)
        yield  # the lock goes with the file
