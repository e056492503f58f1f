"""The developer's side of a project: commits made in a bare repository, and pushed over HTTP as whoever is named."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from torii.git import environment
from torii.git.credentials import Credentials, split_url
from torii.testing.gerrit.accounts import Account
from torii.testing.gerrit.errors import LabError

COMMAND_LIMIT = 120.0
"""Seconds that one git or ssh command may take."""

Files = Mapping[str, str | None]
"""Path and new content; None deletes the file."""


class PushRefusedError(LabError):
    """Gerrit did not take a push; its words are in the message."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A commit to be made: `files` change, with the message `subject`, a blank line, and `body` (the trailers)."""

    files: Files
    subject: str
    trailers: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        """The whole message."""
        return "\n".join([self.subject, "", *self.trailers]).strip() + "\n"


@dataclass(frozen=True, slots=True)
class Workbench:
    """A bare repository at `path`, made when it is first needed, for `project` of the Gerrit at `url`."""

    path: Path
    project: str
    url: str
    account: Callable[[str], Account]
    _clock: itertools.count[int] = field(default_factory=lambda: itertools.count(int(time.time())), repr=False, compare=False)

    def commit(self, drafts: list[Draft], parent: str | None, author: str) -> list[str]:
        """Make a commit of each draft, one on the other, the first on `parent` (None: a first commit); return their hashes."""
        who = self.account(author)
        stream = bytearray()
        for mark, draft in enumerate(drafts, 1):
            # Each second once: a commit that differs in nothing else is a new one still.
            person = f"{who.name} <{who.email}> {next(self._clock)} +0000"
            stream += f"commit refs/lab/{uuid.uuid4().hex}\nmark :{mark}\nauthor {person}\ncommitter {person}\n".encode()
            stream += _data(draft.message)
            if mark > 1 or parent is not None:
                stream += f"from {f':{mark - 1}' if mark > 1 else parent}\n".encode()
            for path, content in draft.files.items():
                stream += f"D {path}\n".encode() if content is None else f"M 100644 inline {path}\n".encode() + _data(content)
            stream += f"\nget-mark :{mark}\n".encode()
        return self.git("fast-import", "--quiet", "--force", given=bytes(stream)).split()

    def merge(self, parents: tuple[str, str], draft: Draft, author: str) -> str:
        """Make a merge commit with the first parent's tree and `draft`'s files; return its hash."""
        (made,) = self.commit([draft], parents[0], author)
        tree = self.git("rev-parse", f"{made}^{{tree}}").strip()
        person = self.account(author)
        names = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in _identity(person)}
        arguments = ["commit-tree", "-p", parents[0], "-p", parents[1], "-m", draft.message, tree]
        return self.git(*arguments, extra=names).strip()

    def fetch(self, *refs: str, who: str = "admin") -> None:
        """Fetch refs or hashes of the project."""
        self.git("fetch", "--quiet", "--no-tags", self._address(), *refs, who=who)

    def has(self, commit: str) -> bool:
        """Return whether the commit is here."""
        return self._run(["cat-file", "-e", f"{commit}^{{commit}}"], None, None, {}).returncode == 0

    def push(self, *refspecs: str, who: str) -> str:
        """Push and return what Gerrit said. Raises PushRefusedError."""
        done = self._run(["push", "--porcelain", self._address(), *refspecs], None, who, {})
        if done.returncode != 0:
            raise PushRefusedError(f"push of {' '.join(refspecs)} as {who}: {_text(done.stdout)}{_text(done.stderr)}")
        return _text(done.stderr) + _text(done.stdout)

    def git(self, *arguments: str, given: bytes | None = None, who: str | None = None, extra: Mapping[str, str] | None = None) -> str:
        """Run git here, logged in as `who` where that is given, and return what it printed. Raises LabError."""
        done = self._run(list(arguments), given, who, extra or {})
        if done.returncode != 0:
            raise LabError(f"git {' '.join(arguments)}: {_text(done.stderr)}")
        return _text(done.stdout)

    def _run(
        self, arguments: list[str], given: bytes | None, who: str | None, extra: Mapping[str, str]
    ) -> subprocess.CompletedProcess[bytes]:
        login: tuple[tuple[str, str], ...] = ()
        if who is not None:
            login = split_url(self.url, Credentials(who, self.account(who).password))[1]
        env = {**os.environ, **environment.local(login), **extra}
        if not self.path.exists():
            self.path.mkdir(parents=True)
            subprocess.run(["git", "init", "--quiet", "--bare", str(self.path)], env=env, check=True, timeout=COMMAND_LIMIT)
        return subprocess.run(
            ["git", "-C", str(self.path), *arguments], input=given or b"", capture_output=True, env=env, timeout=COMMAND_LIMIT, check=False
        )

    def _address(self) -> str:
        return f"{self.url}/a/{quote(self.project)}"


def new_change_id() -> str:
    """Return a fresh Change-Id, as Gerrit's commit-msg hook would make one."""
    return f"I{uuid.uuid4().hex}{uuid.uuid4().hex[:8]}"


def _identity(who: Account) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("NAME", who.name), ("EMAIL", who.email)


def _data(text: str) -> bytes:
    content = text.encode()
    return b"data %d\n%s\n" % (len(content), content)


def _text(output: bytes) -> str:
    return output.decode(errors="replace")
