"""A fresh workspace with the staged state checked out: one git process where the mirror has the commit, two more where it does not."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from torii.errors import OperatorError
from torii.git import GitError, Mirror, Remote, check_ref, check_sha, check_url, redact
from torii.git import environment as git_environment
from torii.git import process as git
from torii.model.ids import Sha
from torii.worker.jobxml import Checkout

CHECKOUT_LIMIT = 600.0
"""Seconds that writing the files of a workspace may take."""

_NAMED = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")

Remotes = Callable[[str], Remote]
"""Gives the remote at an address, with whatever credentials the operator gave for it."""


class CheckoutError(OperatorError):
    """The state to be tested could not be checked out: nothing is known about the change."""


class Mirrors:
    """The mirrors below `folder`, one a repository, from which workspaces borrow objects. Threads and workers may share it."""

    def __init__(self, folder: Path, remotes: Remotes = Remote) -> None:
        self._folder = folder
        self._remotes = remotes
        self._mirrors: dict[str, Mirror] = {}

    def of(self, url: str) -> Mirror:
        """Return the mirror of the repository at `url`; nothing is fetched."""
        name = hashlib.sha256(url.encode()).hexdigest()[:24]
        return self._mirrors.setdefault(url, Mirror(self._folder / f"{name}.git"))

    def maintain(self) -> None:
        """Pack what has gathered in the mirrors, and drop what no build has needed for a week."""
        for path in sorted(self._folder.glob("*.git")):
            Mirror(path).maintain()

    def checkout(self, checkout: Checkout, parameters: Mapping[str, str], workspace: Path, objects: str | None) -> tuple[str, Path]:
        """Make `workspace` a repository with the wanted commit checked out; return the commit and the folder of the objects it borrows.

        `objects` is the path of that folder as the build will see it, None for as it is. Raises `CheckoutError`.
        """
        url, ref, text = (expand(part, parameters) for part in (checkout.url, checkout.ref, checkout.commit))
        try:
            commit = check_sha(text)
            check_ref(ref)
            mirror = self.of(check_url(url))
            mirror.ensure()
            store = mirror.path.absolute() / "objects"
            _make_repository(workspace, url, commit, store)
            problem = _write_files(workspace, commit)
            if problem:
                self._fetch(mirror, url, ref, commit)
                problem = _write_files(workspace, commit)
            if problem:
                raise CheckoutError(f"{commit} cannot be checked out: {problem}")
            if objects:
                _borrow(workspace, objects)
        except (GitError, OSError) as error:
            raise CheckoutError(f"{text[:80]} of {redact(url)} cannot be checked out: {error}") from error
        return commit, store

    def _fetch(self, mirror: Mirror, url: str, ref: str, commit: Sha) -> None:
        there = self._remotes(url).fetch(mirror, [ref])[ref]
        if there != commit and mirror.resolve(commit) is None:
            raise CheckoutError(f"{ref} of {redact(url)} is at {there}, not at {commit}: the state to be tested is gone")
        # Remembered, or the next fetch would transfer the history again: staging refs are in no mirror's refs.
        mirror.run("update-ref", f"refs/torii/built/{hashlib.sha256(ref.rpartition('/')[2].encode()).hexdigest()[:16]}", commit)


def expand(text: str, parameters: Mapping[str, str]) -> str:
    """Return `text` with each `$NAME` and `${NAME}` of a parameter replaced, as Jenkins' git plugin does; unknown ones stay."""
    return _NAMED.sub(lambda found: parameters.get(found[1] or found[2], found[0]), text)


def _make_repository(workspace: Path, url: str, commit: Sha, store: Path) -> None:
    """Write by hand what `git init` would: two processes less, and no template of the machine's."""
    folder = workspace / ".git"
    for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
        (folder / name).mkdir(parents=True)
    (folder / "HEAD").write_text(f"{commit}\n")
    shown = redact(url).replace("\\", "\\\\").replace('"', '\\"')
    core = "repositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true"
    (folder / "config").write_text(f'[core]\n\t{core}\n[remote "origin"]\n\turl = "{shown}"\n')
    _borrow(workspace, str(store))


def _borrow(workspace: Path, objects: str) -> None:
    (workspace / ".git/objects/info/alternates").write_text(f"{objects}\n")


def _write_files(workspace: Path, commit: Sha) -> str:
    """Write the files of `commit`; return what git says against it, empty where it worked."""
    # read-tree runs no hook; and no filter is configured that an attribute could name.
    command = [f"--git-dir={workspace}/.git", f"--work-tree={workspace}", "read-tree", "--reset", "-u", commit]
    done = git.run(command, cwd=workspace, env=git_environment.local(), limit=CHECKOUT_LIMIT)
    return "" if done.status == 0 else done.stderr or f"git read-tree ended with {done.status}"
