"""A fresh workspace with the staged state checked out: one git process where the mirror has the commit, two more where it does not."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torii.errors import OperatorError, ToriiError
from torii.git import Mirror, Remote, check_ref, check_sha, check_url, redact
from torii.git import environment as git_environment
from torii.git import process as git
from torii.model.ids import Sha
from torii.worker.jobxml import Checkout

CHECKOUT_LIMIT = 600.0
"""Seconds that writing the files of a workspace may take."""

_NAMED = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository that builds check out: the mirror of it on this machine, and where it is fetched from."""

    mirror: Mirror
    remote: Remote


class CheckoutError(OperatorError):
    """The state to be tested could not be checked out: nothing is known about the change."""


class Mirrors:
    """The repositories by address. Those that are not `known` get a mirror below `folder`. Threads and workers may share it all."""

    def __init__(self, folder: Path, known: Mapping[str, Repository] | None = None) -> None:
        self._folder = folder
        self._repositories = dict(known or {})

    def of(self, url: str) -> Repository:
        """Return the repository at `url`; nothing is fetched. Raises UnsafeNameError for what is no address."""
        found = self._repositories.get(url)
        if found is None:
            name = hashlib.sha256(url.encode()).hexdigest()[:24]
            found = self._repositories.setdefault(url, Repository(Mirror(self._folder / f"{name}.git"), Remote(check_url(url))))
        return found

    def objects(self, url: str) -> Path:
        """Return the folder of the objects that workspaces of `url` borrow."""
        return self.of(url).mirror.path.absolute() / "objects"

    def maintain(self) -> None:
        """Pack what has gathered in the mirrors, and drop what no build has needed for a week."""
        for repository in list(self._repositories.values()):
            repository.mirror.maintain()

    def checkout(self, checkout: Checkout, parameters: Mapping[str, str], workspace: Path, objects: str) -> str:
        """Make `workspace` a repository with the wanted commit checked out, and return that commit.

        `objects` is the path under which the build will see `self.objects(...)`. Raises `CheckoutError`.
        """
        url, ref, text = (expand(part, parameters) for part in (checkout.url, checkout.ref, checkout.commit))
        try:
            commit = check_sha(text)
            check_ref(ref)
            repository = self.of(url)
            repository.mirror.ensure()
            _make_repository(workspace, url, commit, self.objects(url))
            problem = _write_files(workspace, commit)
            if problem:
                _fetch(repository, ref, commit)
                problem = _write_files(workspace, commit)
            if problem:
                raise CheckoutError(f"{commit} cannot be checked out: {problem}")
            _borrow(workspace, objects)
        except CheckoutError:
            raise
        except (ToriiError, OSError) as error:
            raise CheckoutError(f"{text[:80]} of {redact(url)} cannot be checked out: {error}") from error
        return commit


def _fetch(repository: Repository, ref: str, commit: Sha) -> None:
    there = repository.remote.fetch(repository.mirror, [ref])[ref]
    if there != commit and repository.mirror.resolve(commit) is None:
        raise CheckoutError(f"{ref} of {repository.remote.shown} is at {there}, not at {commit}: the state to be tested is gone")
    # Remembered, or the next fetch would transfer the history again: staging refs are in no mirror's refs.
    slot = hashlib.sha256(ref.rpartition("/")[2].encode()).hexdigest()[:16]
    repository.mirror.run("update-ref", f"refs/torii/built/{slot}", commit)


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
