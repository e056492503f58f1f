"""The part of a check-up that is about one project's git: can it be fetched from, and do staging refs come, move and go."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torii.config.settings import GerritConnection, ProjectSettings
from torii.git import Mirror, Remote
from torii.git.credentials import credentials_of, git_limit
from torii.git.errors import GitError, RemoteUnavailableError
from torii.git.mirror import mirror_path
from torii.git.remote import ABSENT, Pushed, RefUpdate
from torii.model.finding import Finding, Verdict
from torii.model.ids import Sha

PREFIX = "refs/staging/torii-check/"

SLOW = 0.7
"""Seconds for a push of one small commit from which on Read on refs/* is likely missing."""

_SOMEBODY = ("A Developer", "developer@example.com")
_TORII = ("Torii", "torii@localhost")
"""Who commits what the merger makes: nobody that Gerrit knows, so that Forge Author and Forge Committer are needed."""


def git_findings(connection: GerritConnection, project: ProjectSettings, state: Path, try_it: bool) -> Iterator[Finding]:
    """Yield whether `project` can be read, and its staging refs be pushed, pushed again and deleted; its mirror is under `state`."""
    login, limit = credentials_of(connection), git_limit(connection)
    origin = Remote(project.url, login, limit)
    staging = origin if project.staging_url in ("", project.url) else Remote(project.staging_url, login, limit)
    try:
        branches = origin.ls_remote(["refs/heads/*"])
    except RemoteUnavailableError as error:
        advice = f"see that {connection.user!r} may read refs/heads/* of it, and that it is called so there"
        yield Finding("git", Verdict.FAIL, str(error), advice, project.name)
        return
    if not branches:
        yield Finding(
            "git",
            Verdict.FAIL,
            f"{origin.shown} has no branch that Torii may read",
            "push one, or allow 'Read' on refs/heads/* to Torii",
            project.name,
        )
        return
    yield Finding("git", Verdict.PASS, f"{origin.shown} has {len(branches)} branch{'es' * (len(branches) > 1)}", project=project.name)
    if not try_it:
        yield Finding("staging", Verdict.UNKNOWN, "staging refs are only known to work when one was pushed", project=project.name)
        return
    mirror = Mirror(mirror_path(state, project.name))
    branch = next((ref for ref in ("refs/heads/main", "refs/heads/master") if ref in branches), min(branches))
    try:
        tip = origin.fetch(mirror, [], track=[branch])[branch]
        yield from _Trial(mirror, staging, project.name, "" if staging is origin else staging.shown).findings(tip)
    except GitError as error:
        yield Finding("staging", Verdict.FAIL, str(error), project=project.name)


@dataclass(frozen=True, slots=True)
class _Trial:
    """Does with a staging ref what the merger does. `elsewhere` is the address of a staging server that is not the Gerrit."""

    mirror: Mirror
    staging: Remote
    project: str
    elsewhere: str

    def findings(self, tip: Sha) -> Iterator[Finding]:
        """Yield how a new ref, another state of it, and its end went."""
        self._sweep()
        first, second = self._merge(tip, "first"), self._merge(tip, "second")
        ref = f"{PREFIX}{uuid.uuid4().hex[:12]}"
        refused = self._push(RefUpdate(ref, first, ABSENT))
        yield self._finding("staging create", "a staging ref can be pushed", refused, _CREATE)
        if refused is not None:
            for topic in ("staging again", "staging delete"):
                yield Finding(topic, Verdict.UNKNOWN, "not tried, since none could be pushed", "check again then", self.project)
            return
        began = time.monotonic()
        refused = self._push(RefUpdate(ref, second, first, rewind=True))
        took = time.monotonic() - began
        yield self._finding("staging again", f"it can be pushed again, in {took:.2f} s", refused, _AGAIN)
        if refused is None and took > SLOW:
            advice = "allow 'Read' on refs/* to a group of Torii's; let Gerrit collect garbage ('gerrit gc')"
            yield Finding("staging speed", Verdict.WARN, f"a push of one commit took {took:.1f} s", advice, self.project)
        refused = self._push(RefUpdate(ref, None))
        yield self._finding("staging delete", "it can be deleted", refused, _DELETE)

    def _sweep(self) -> None:
        """Delete what a check-up left that might not delete."""
        left = self.staging.ls_remote([f"{PREFIX}*"])
        self.staging.push(self.mirror, [RefUpdate(ref, None) for ref in left])

    def _push(self, update: RefUpdate) -> str | None:
        outcome = self.staging.push(self.mirror, [update])[update.ref]
        return None if isinstance(outcome, Pushed) else outcome.reason

    def _merge(self, tip: Sha, message: str) -> Sha:
        """Return a merge of the branch with a commit of somebody else's, as the merger makes them."""
        theirs = self._commit(tip, (tip,), message, _SOMEBODY)
        return self._commit(tip, (tip, theirs), f"Merge {message}", _TORII)

    def _commit(self, tip: Sha, parents: tuple[Sha, ...], message: str, author: tuple[str, str]) -> Sha:
        tree = self.mirror.run("rev-parse", f"{tip}^{{tree}}").stdout.decode().strip()
        date = f"{int(time.time())} +0000"
        lines = [
            f"tree {tree}",
            *(f"parent {parent}" for parent in parents),
            f"author {author[0]} <{author[1]}> {date}",
            f"committer {_TORII[0]} <{_TORII[1]}> {date}",
            f"\n{message}\n",
        ]
        made = self.mirror.run("hash-object", "-t", "commit", "-w", "--stdin", given="\n".join(lines).encode())
        return Sha(made.stdout.decode().strip())

    def _finding(self, topic: str, words: str, refused: str | None, advice: str) -> Finding:
        if refused is None:
            return Finding(topic, Verdict.PASS, words, project=self.project)
        if self.elsewhere:
            return Finding(topic, Verdict.FAIL, f"{self.elsewhere} refused it: {refused}", "let Torii's account do it there", self.project)
        return Finding(topic, Verdict.FAIL, f"Gerrit refused it: {refused}", f"{advice} ('torii gerrit setup' does it)", self.project)


_CREATE = (
    "allow 'Create Reference', 'Push', 'Push Merge Commit', 'Forge Author Identity' and 'Forge Committer Identity' on refs/staging/* "
    "to a group of Torii's"
)
_AGAIN = "allow 'Read' on refs/*, and 'Push' with force on refs/staging/*, to a group of Torii's"
_DELETE = "allow 'Delete Reference' on refs/staging/* to a group of Torii's, or every staging ref stays for ever"
