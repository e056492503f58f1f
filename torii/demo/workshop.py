"""What the people of the story do with git: make repositories, commit, push for review, approve. Plain git commands, with an identity of
their own and nobody's configuration."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from torii.demo.place import Place
from torii.demo.projects import Edit
from torii.errors import OperatorError
from torii.git.environment import local
from torii.git.process import run
from torii.model.ids import Sha

NAME, MAIL = "A Developer", "dev@example.com"
_LIMIT = 30.0

_HOOK = """\
#!/bin/sh
# Tells Torii at once that a change was pushed or approved, without keeping whoever pushed waiting.
news=
while read -r _ new ref; do
    case "$new $ref" in
        0000000*) ;; # deleted, mostly by Torii itself after a merge
        *" refs/heads/review/"* | *" refs/heads/gate/"*) news=yes ;;
    esac
done
if [ "$news" ]; then
    {python} -m torii notify {project} --server {server} >/dev/null 2>&1 &
fi
"""


class Workshop:
    """The repositories of `place`: a bare one a project, which Torii watches, and a clone of it to work in."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.patchsets: dict[str, Sha] = {}
        """The commit of each change that was made, by the change's id."""
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

    def found(self, project: str, files: Mapping[str, str]) -> None:
        """Make the repository of `project` with `files` on its branch main, and a clone of it."""
        bare, clone = self.place.repository(project), self.place.clone(project)
        for folder, how in ((bare, ["--bare"]), (clone, [])):
            folder.mkdir(parents=True)
            self.git(folder, "init", "--quiet", "--initial-branch=main", "--template=", *how)
        self._set(bare, {"core.hooksPath": str(bare / "hooks")})
        self._set(clone, {"user.name": NAME, "user.email": MAIL, "commit.gpgSign": "false", "push.default": "simple"})
        self.git(clone, "remote", "add", "origin", str(bare))
        self._write(clone, files)
        self._commit(clone, "Open the tea house")
        self.git(clone, "tag", "first")
        self.git(clone, "push", "--quiet", "--set-upstream", "origin", "main")
        self._hook(project, bare)

    def make(self, edit: Edit) -> None:
        """Commit `edit` on a branch of its own in the clone."""
        clone = self.place.clone(edit.project)
        self.git(clone, "switch", "--quiet", "--create", edit.name, "--no-track", edit.base)
        self._write(clone, edit.files)
        self._commit(clone, edit.title)
        self.patchsets[edit.change] = Sha(self.git(clone, "rev-parse", "HEAD"))

    def ask_review(self, *edits: Edit) -> None:
        """Push changes of one project for review, with one push."""
        self._push("review", edits)

    def approve(self, *edits: Edit) -> None:
        """Approve changes of one project, with one push."""
        self._push("gate", edits)

    def _push(self, to: str, edits: Sequence[Edit]) -> None:
        refs = [f"{edit.name}:refs/heads/{to}/main/{edit.name}" for edit in edits]
        # Atomic, so that Torii sees either none of them or all of them: their order in the gate is part of the story.
        self.git(self.place.clone(edits[0].project), "push", "--quiet", "--atomic", "origin", *refs)

    def _commit(self, clone: Path, message: str) -> None:
        self.git(clone, "add", "--all")
        self.git(clone, "commit", "--quiet", "-m", message)

    def _set(self, repository: Path, settings: Mapping[str, str]) -> None:
        for name, value in settings.items():
            self.git(repository, "config", name, value)

    def _write(self, folder: Path, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def _hook(self, project: str, bare: Path) -> None:
        hook = bare / "hooks" / "post-receive"
        hook.parent.mkdir(exist_ok=True)
        words = {"python": sys.executable, "project": project, "server": str(self.place.server_yml)}
        hook.write_text(_HOOK.format(**{name: shlex.quote(word) for name, word in words.items()}))
        hook.chmod(0o755)
