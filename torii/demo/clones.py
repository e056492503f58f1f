"""The clones in which the developer of the story works: plain git commands, with an identity of their own and nobody's configuration."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from torii.demo.place import Place
from torii.demo.projects import FIRST, Edit
from torii.errors import OperatorError
from torii.git.environment import local
from torii.git.process import run
from torii.model.ids import Sha

NAME, MAIL = "A Developer", "dev@example.com"
_LIMIT = 30.0


class Clones:
    """A clone for each project in `place`."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.patchsets: dict[str, Sha] = {}
        """The commit of each edit that was made, by the edit's name."""
        identity = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in (("NAME", NAME), ("EMAIL", MAIL))}
        self._environment = {**local(), **identity}

    def git(self, folder: Path, *arguments: str) -> str:
        """Return what `git ARGUMENTS` prints in `folder`, without the last line end. Raises OperatorError where it fails."""
        done = run(arguments, cwd=folder, env=self._environment, limit=_LIMIT)
        if done.status != 0:
            raise OperatorError(f"git {shlex.join(arguments)} failed in {folder}: {done.stderr or f'exit status {done.status}'}")
        return done.stdout.decode(errors="replace").rstrip("\n")

    def succeeds(self, folder: Path, *arguments: str) -> bool:
        """Return whether `git ARGUMENTS` ends with status 0 in `folder`."""
        return run(arguments, cwd=folder, env=self._environment, limit=_LIMIT).status == 0

    def begin(self, project: str, files: Mapping[str, str], origin: str, settings: Mapping[str, str]) -> None:
        """Make the clone of `project` with `files` in its first commit, on main. `origin` is where it will be pushed."""
        clone = self.place.clone(project)
        clone.mkdir(parents=True)
        self.git(clone, "init", "--quiet", "--initial-branch=main", "--template=")
        self.set(clone, {"user.name": NAME, "user.email": MAIL, "commit.gpgSign": "false", "push.default": "simple", **settings})
        self.git(clone, "remote", "add", "origin", origin)
        self._write(clone, files)
        self._commit(clone, "Open the tea house")
        self.git(clone, "tag", FIRST)

    def first(self, project: str) -> Sha:
        """Return the commit that main was at when the story began."""
        return Sha(self.git(self.place.clone(project), "rev-parse", FIRST))

    def make(self, edit: Edit, trailer: str = "") -> None:
        """Commit `edit` on a branch of its own; `trailer` is the last line of the message."""
        clone = self.place.clone(edit.project)
        self.git(clone, "switch", "--quiet", "--create", edit.name, "--no-track", edit.base)
        self._write(clone, edit.files)
        self._commit(clone, f"{edit.title}\n\n{trailer}".rstrip())
        self.patchsets[edit.name] = Sha(self.git(clone, "rev-parse", "HEAD"))

    def push(self, project: str, *arguments: str) -> None:
        """Push to the origin of the clone of `project`."""
        self.git(self.place.clone(project), "push", "--quiet", *arguments)

    def set(self, repository: Path, settings: Mapping[str, str]) -> None:
        """Set git configuration of one repository."""
        for name, value in settings.items():
            self.git(repository, "config", name, value)

    def _commit(self, clone: Path, message: str) -> None:
        self.git(clone, "add", "--all")
        self.git(clone, "commit", "--quiet", "-m", message)

    def _write(self, folder: Path, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
