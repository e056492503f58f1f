"""A fake Gerrit, read by the real reading parts of the source without its threads, as if by one process after another."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, cast

from tests.support.fake_gerrit import FakeGerrit
from torii.model.event import BranchMoved, ChangeUpdated
from torii.model.ids import ProjectName
from torii.model.pipeline import Cause
from torii.runtime.ports import Cursor
from torii.sources.gerrit.cursor import Progress, load
from torii.sources.gerrit.hints import Hint
from torii.sources.gerrit.identity import Identity, Watch
from torii.sources.gerrit.news import News
from torii.sources.gerrit.pending import Pending, Work
from torii.sources.gerrit.rest import GerritRest


class Reading:
    """What `gerrit` was told to hold, as told by processes that begin with `restart`. `events` is all that was ever posted."""

    def __init__(self, gerrit: FakeGerrit, **settings: Any) -> None:
        self.gerrit = gerrit
        self.events: list[ChangeUpdated | BranchMoved] = []
        self.cursor: str | None = None
        names = {ProjectName(name): ProjectName(name) for name in gerrit.tips}
        self.watch = Watch("lab", "http://gerrit.example.com", names, frozenset({"Verified"}), **settings)
        self.restart()

    def restart(self, cursor: str | None = None) -> None:
        """Begin a new process, from `cursor` or the one committed last."""
        self.pending = Pending()
        rest = cast(GerritRest, self.gerrit)
        state = cursor or self.cursor
        progress = load(state) if state else Progress()
        self.news = News(self.watch, rest, Identity(self.watch, rest), self._post, self._add, progress)

    def catch_up(self, *, thorough: bool = False) -> None:
        """Look at everything, and at what that leads to."""
        self.news.look(Work(everything=True, thorough=thorough))
        self.settle()

    def look(self, *numbers: int, project: str = "app") -> None:
        """Look at changes `numbers`, and at what that leads to."""
        self._add(Hint(ProjectName(project), change=number) for number in numbers)
        self.settle()

    def settle(self) -> None:
        """Look at all that waits."""
        for _ in range(50):
            if not len(self.pending):
                return
            self.news.look(self.pending.take(50, 0.0))
        raise AssertionError("it is never done with looking")

    def told(self, number: int) -> list[ChangeUpdated]:
        return [event for event in self.events if isinstance(event, ChangeUpdated) and event.change.id == f"lab:{number}"]

    def causes(self, number: int) -> list[Cause]:
        return [event.cause for event in self.told(number)]

    def since(self) -> float:
        assert self.cursor is not None
        return float(json.loads(self.cursor)["since"])

    def _add(self, hints: Iterable[Hint]) -> None:
        self.pending.add(hints)

    def _post(self, events: Sequence[ChangeUpdated | BranchMoved], cursor: Cursor) -> None:
        self.events += events
        self.cursor = cursor.state
