"""Where hints gather until they are looked into: many hints of one thing are one thing to do. Thread-safe."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from torii.sources.gerrit.hints import Hint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torii.model.ids import ProjectName

MANY_BRANCHES = 3
"""Branches of one project that are looked at one by one; for more, all are listed at once."""


@dataclass(frozen=True, slots=True)
class Work:
    """What to look at now: `changes` by number with the project where it is known; `branches` of projects (None: all); everything.

    `everything` is everything that happened since the last look at everything; `thorough` where something may have been missed.
    """

    changes: Mapping[int, ProjectName | None] = field(default_factory=lambda: MappingProxyType({}))
    branches: Mapping[ProjectName, frozenset[str] | None] = field(default_factory=lambda: MappingProxyType({}))
    everything: bool = False
    thorough: bool = False

    def __bool__(self) -> bool:
        return bool(self.changes or self.branches or self.everything)


class Pending:
    """Hints that nobody has looked into yet, oldest first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._changes: dict[int, ProjectName | None] = {}
        self._branches: dict[ProjectName, set[str] | None] = {}
        self._everything = False
        self._closed = False

    def add(self, hints: Iterable[Hint]) -> None:
        """Have `hints` looked into soon."""
        with self._changed:
            for hint in hints:
                if hint.resync:
                    self._everything = True
                elif hint.change is not None:
                    self._changes.setdefault(hint.change, hint.project)
                else:
                    self._add_branch(hint.project, hint.branch)
            self._changed.notify_all()

    def put_back(self, work: Work) -> None:
        """Have `work`, which could not be done, done later."""
        with self._changed:
            self._changes = {**work.changes, **self._changes}
            for project, branches in work.branches.items():
                for branch in (None,) if branches is None else branches:
                    self._add_branch(project, branch)
            self._everything = self._everything or work.everything

    def take(self, limit: int, timeout: float) -> Work:
        """Return what gathered, of changes up to `limit`; wait up to `timeout` seconds for the first. Nothing once closed."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not (self._closed or self._changes or self._branches or self._everything):
                if not self._changed.wait(max(0.0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                    return Work()
            if self._closed:
                return Work()
            numbers = list(self._changes)[:limit]
            changes = {number: self._changes.pop(number) for number in numbers}
            branches = {project: None if names is None else frozenset(names) for project, names in self._branches.items()}
            work = Work(changes, branches, self._everything, thorough=self._everything)
            self._branches, self._everything = {}, False
            return work

    def close(self) -> None:
        """Wake whoever waits, for good."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        with self._changed:
            return len(self._changes) + len(self._branches) + self._everything

    def _add_branch(self, project: ProjectName, branch: str | None) -> None:
        names = self._branches.setdefault(project, set())
        if branch is None or names is None or len(names) >= MANY_BRANCHES:
            self._branches[project] = None
        else:
            names.add(branch)
