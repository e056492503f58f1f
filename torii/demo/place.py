"""The folder of the demo: recognised by a mark, cleared of what the demo made and of nothing else, used by one demo at a time."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from torii.errors import OperatorError, UserError
from torii.store.lease import LeaseError, acquire_lease, holder_of

MARK = ".torii-demo"
OURS = ("repositories", "gerrit", "work", "state", "logs", "server.yml", "torii.log", ".gitignore")
"""What the demo makes in its folder, and clears away when it runs there again."""

_KILL_LIMIT = 5.0

_MARK_TEXT = f"""Made by `torii demo`, which clears these away and makes them anew each time it runs here: {", ".join(OURS)}.
Whatever else is in this folder is left alone. To keep them, move them, or name another folder to the demo.
"""


class FolderError(UserError):
    """The folder is not one that the demo may use."""


@dataclass(frozen=True, slots=True)
class Place:
    """The demo's folder and what is in it."""

    root: Path

    @property
    def server_yml(self) -> Path:
        return self.root / "server.yml"

    @property
    def log(self) -> Path:
        return self.root / "torii.log"

    @property
    def blobs(self) -> Path:
        return self.root / "state" / "blobs"

    @property
    def logs(self) -> Path:
        """The folder in which the log of each build has a name that tells which it is."""
        return self.root / "logs"

    @property
    def gerrit(self) -> Path:
        """The folder in which a Gerrit is booted, where the story is played on one."""
        return self.root / "gerrit"

    def clone(self, project: str) -> Path:
        """Return where somebody works on `project`."""
        return self.root / "work" / project


@contextmanager
def occupied(folder: Path) -> Iterator[Place]:
    """Yield `folder` for this process alone, made if need be, with nothing in it of an earlier demo.

    Raises FolderError where it holds what the demo has not made, or is in use; OperatorError where it cannot be written.
    """
    root = folder.absolute()
    with ExitStack() as stack:
        try:
            stack.callback(os.close, _claim(root))
            _refuse_if_running(root)
            end_gerrit(root / "gerrit" / "site")
            _clear(root)
            (root / ".gitignore").write_text("*\n")
        except OSError as error:
            raise OperatorError(f"{root} cannot be used for the demo: {error.strerror or error}; name another folder") from error
        yield Place(root)


def end_gerrit(site: Path) -> None:
    """End the Gerrit of the site `site`, where a demo that was killed has left it running."""
    for pid in _gerrits(site):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + _KILL_LIMIT
        while pid in _gerrits(site) and time.monotonic() < deadline:
            time.sleep(0.02)


def _gerrits(site: Path) -> list[int]:
    """Return the processes that say themselves that they are daemons of `site`; none where there is no /proc to look into."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if words[-4:] == [b"daemon", b"-d", os.fsencode(site), b""]:
                found.append(int(path.parent.name))
    return found


def _claim(root: Path) -> int:
    """Return the locked descriptor of the folder's mark."""
    if root.exists() and not root.is_dir():
        raise FolderError(f"{root} is a file; name a folder")
    root.mkdir(parents=True, exist_ok=True)
    mark = root / MARK
    if not mark.is_file() and any(root.iterdir()):
        raise FolderError(f"{root} is not empty, and no demo was ever here; name a new or an empty folder")
    descriptor = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise FolderError(f"another `torii demo` is running in {root}; stop it, or name another folder") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, _MARK_TEXT.encode(), 0)
    return descriptor


def _refuse_if_running(root: Path) -> None:
    state = root / "state"
    if not state.is_dir():
        return
    try:
        acquire_lease(state).close()
    except LeaseError:
        holder = holder_of(state)
        who = f" (process {holder})" if holder else ""
        raise FolderError(f"a Torii is running in {root}{who}; stop it, or name another folder") from None


def _clear(root: Path) -> None:
    for name in OURS:
        path = root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
