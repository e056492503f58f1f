"""What a project's branches are at now, and what the new tip of one says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torii.config.cache import ConfigCache
from torii.model.event import BranchMoved
from torii.model.ids import ProjectName, Sha
from torii.model.job import ProjectConfig
from torii.sources.gerrit.errors import GerritRefusedError, GerritReplyTooLargeError
from torii.sources.gerrit.rest import GerritRest, quote

_HEADS = "refs/heads/"
_NOT_FOUND = 404
_NOT_US = (401, 403)
_CONFIG = "torii.yml"


@dataclass(frozen=True, slots=True)
class Tip:
    """What a branch's tip says. `queue` is what its `torii.yml` names."""

    title: str = ""
    by: str = ""
    queue: str | None = None


class BranchReader:
    """Reads branches through REST."""

    def __init__(self, connection: str, rest: GerritRest) -> None:
        self._connection = connection
        self._rest = rest
        self._configs = ConfigCache()

    def tips(self, project: ProjectName, only: frozenset[str] | None, known: Mapping[str, Sha] | None) -> dict[str, Sha]:
        """Return all branches of `project` with their tips; where `only` says so, only those are read and the rest is as `known`.

        Raises GerritError; GerritRefusedError where the project is not there, or not for Torii.
        """
        if only is None or known is None:
            reply = self._rest.get(f"projects/{quote(project)}/branches/")
            named = ((each.get("ref", ""), each.get("revision", "")) for each in reply)
            return {ref.removeprefix(_HEADS): Sha(revision) for ref, revision in named if ref.startswith(_HEADS)}
        now = dict(known)
        for branch in only:
            try:
                now[branch] = Sha(self._rest.get(f"projects/{quote(project)}/branches/{quote(branch)}")["revision"])
            except GerritRefusedError as error:
                if error.status != _NOT_FOUND:
                    raise
                now.pop(branch, None)
        return now

    def moved(
        self, project: ProjectName, before: Mapping[str, Sha] | None, now: Mapping[str, Sha], count: int
    ) -> tuple[list[BranchMoved], int]:
        """Return what is to be told of the branches that are not as `before` (None: seen for the first time), numbered from `count` on.

        Raises GerritError.
        """
        events = []
        old = before or {}
        for branch in sorted({*old, *now}):
            was, tip = old.get(branch), now.get(branch)
            if was == tip:
                continue
            count += 1
            said = self._read(project, tip, initial=before is None) if tip is not None else Tip()
            key = f"{self._connection}/{project}#{count}:branch:{branch}@{tip or 'deleted'}"
            events.append(BranchMoved(project, branch, was, tip, key, said.queue, initial=before is None, title=said.title, by=said.by))
        return events, count

    def _read(self, project: ProjectName, tip: Sha, *, initial: bool) -> Tip:
        """Return what the commit `tip` says; of one that was there before Torii nobody asks who made it."""
        path = f"projects/{quote(project)}/commits/{tip}"
        title = by = ""
        if not initial:
            try:
                commit = self._rest.get(path)
                author = commit.get("author", {})
                title, by = commit.get("subject", ""), f"{author.get('name', '')} <{author.get('email', '')}>"
            except GerritRefusedError as error:
                if error.status != _NOT_FOUND:
                    raise
        return Tip(title, by, self._queue(path))

    def _queue(self, path: str) -> str | None:
        try:
            content = self._rest.get_content(f"{path}/files/{quote(_CONFIG)}/content")
        except GerritRefusedError as error:
            if error.status in _NOT_US:
                raise
            return None  # it is not there, or a directory
        except GerritReplyTooLargeError:
            return None
        config = self._configs.parse(content)
        return config.queue if isinstance(config, ProjectConfig) else None
