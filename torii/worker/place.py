"""Where one build happens: its folders on the machine, and the paths under which the build itself sees them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """The folder `root` of one build, with nothing of any other in it. `objects` is the git object store that the checkout borrows from."""

    root: Path
    objects: Path | None = None

    @property
    def workspace(self) -> Path:
        return self.root / "workspace"

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def tmp(self) -> Path:
        return self.root / "tmp"

    @property
    def steps(self) -> Path:
        return self.root / "steps"

    @property
    def progress(self) -> Path:
        """The file in which the build says which step it is at."""
        return self.root / "progress"

    def make(self) -> None:
        """Make the folders. Raises OSError."""
        self.root.mkdir(parents=True, mode=0o700)
        for folder in (self.workspace, self.home, self.tmp, self.steps):
            folder.mkdir(mode=0o700)
        self.progress.touch(mode=0o600)


@dataclass(frozen=True, slots=True)
class View:
    """The paths of a place as the build sees them."""

    workspace: str
    home: str
    tmp: str
    steps: str
    progress: str
    objects: str | None


@dataclass(frozen=True, slots=True)
class Launch:
    """A process to be started. It reads `given` on its standard input, and `arguments` on the descriptor `{args}` in `argv`."""

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    cwd: str
    given: bytes = b""
    arguments: bytes | None = None
