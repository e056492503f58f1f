"""The straight script: what Torii does to the outside world, done by hand, one git command after the other.

It is written as a sensible author would: nothing is fetched twice, nothing is cloned anew, the workspace borrows its objects, no shell in
between. It has no queue, no sandbox, no memory and no second thoughts, so that what Torii takes on top of it is the price of those.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

NAMES = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "A Developer"), ("EMAIL", "dev@example.com"))
}


def git(*arguments: str, cwd: Path, given: str | None = None) -> str:
    """Return what `git <arguments>` prints, without white space at the ends."""
    environment = {**os.environ, **NAMES, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *arguments], cwd=cwd, env=environment, input=given, capture_output=True, text=True, timeout=300, check=True
    )
    return done.stdout.strip()


class Script:
    """Works on the repository `remote` with a mirror and workspaces in `folder`. Its steps are to be called in the order they stand in."""

    def __init__(self, remote: Path | str, folder: Path) -> None:
        self._remote = str(remote)
        self._folder = folder
        self._mirror = folder / "mirror.git"
        folder.mkdir()
        git("init", "--quiet", "--bare", "--initial-branch=main", str(self._mirror), cwd=folder)
        git("fetch", "--quiet", self._remote, "+refs/heads/main:refs/remotes/main", cwd=self._mirror)

    def fetch(self, ref: str) -> None:
        """Fetch a change, and the branch it is for."""
        git("fetch", "--quiet", self._remote, "+refs/heads/main:refs/remotes/main", f"+{ref}:refs/remotes/change", cwd=self._mirror)

    def merge(self, change: str) -> str:
        """Return the merge of the commit `change` into the branch."""
        tree = git("merge-tree", "--write-tree", "refs/remotes/main", change, cwd=self._mirror)
        return git("commit-tree", tree, "-p", "refs/remotes/main", "-p", change, "-m", f"Merge {change}", cwd=self._mirror)

    def stage(self, commit: str, name: str) -> str:
        """Push `commit` for its build to fetch; return the ref."""
        ref = f"refs/staging/{name}/main"
        git("push", "--quiet", self._remote, f"{commit}:{ref}", cwd=self._mirror)
        return ref

    def build(self, ref: str, command: str) -> None:
        """Run `command` in a fresh workspace with `ref` checked out."""
        workspace = self._folder / "workspace"
        git("init", "--quiet", str(workspace), cwd=self._folder)
        (workspace / ".git/objects/info/alternates").write_text(f"{self._mirror}/objects\n")
        git("fetch", "--quiet", self._remote, ref, cwd=workspace)
        git("checkout", "--quiet", "--detach", "FETCH_HEAD", cwd=workspace)
        subprocess.run(["/bin/sh", "-xe", "-c", command], cwd=workspace, capture_output=True, timeout=300, check=True)
        shutil.rmtree(workspace)

    def report(self, change: str, text: str) -> None:
        """Put `text` on `change` as a note."""
        notes = "refs/notes/torii"
        if git("ls-remote", self._remote, notes, cwd=self._mirror):
            git("fetch", "--quiet", self._remote, f"+{notes}:{notes}", cwd=self._mirror)
        git("notes", "--ref=torii", "append", "-m", text, change, cwd=self._mirror)
        git("push", "--quiet", self._remote, f"{notes}:{notes}", cwd=self._mirror)

    def land(self, commit: str) -> None:
        """Push `commit` to the branch for good."""
        git("push", "--quiet", self._remote, f"{commit}:refs/heads/main", cwd=self._mirror)
