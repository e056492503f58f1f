"""What the lab of any source has: the source, what it said, what the gate may ask of it. One of a kind adds a server and a developer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from tests.support.waiting import wait_until
from torii.model.change import BranchState, Change
from torii.model.command import Report, Submit, Verdict
from torii.model.event import BranchMoved, ChangeUpdated, Event, ReportDone, SubmitDone
from torii.model.ids import ChangeId, ItemId, PipelineName, ProjectName, Sha
from torii.model.pipeline import Cause
from torii.runtime.ports import Cursor, Source

LIMIT = 40.0


class LabSource(Source, Protocol):
    """A source that tells how each of its projects is."""

    def project_health(self) -> Mapping[ProjectName, str]: ...


class Mailbox:
    """A `Post` that keeps what it is given, and the last cursor."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.events: list[Event] = []
        self.cursor: Cursor | None = None

    def __call__(self, events: Sequence[Event], cursor: Cursor | None = None) -> None:
        with self._lock:
            self.events.extend(events)
            self.cursor = cursor or self.cursor


class SourceLab:
    """A source that is made by `open`, started and stopped here, and whose every word is in `box`."""

    def __init__(self) -> None:
        self.box = Mailbox()
        self.project = ProjectName("app")
        self.source: LabSource | None = None

    # What a lab of some kind adds.

    def open(self) -> LabSource:
        """Return a source that is not started yet."""
        raise NotImplementedError

    def id(self, name: str) -> ChangeId:
        """Return the id of the change that the lab calls `name`."""
        raise NotImplementedError

    def wake(self) -> None:
        """Say that something happened, where nobody else does."""
        if self.source is not None:
            self.source.wake(None)

    # The source.

    def start(self, cursor: Cursor | None = None) -> None:
        self.source = self.open()
        self.source.start(cursor)

    def stop(self) -> None:
        if self.source is not None:
            self.source.stop(5.0)
            self.source = None

    def restart(self) -> None:
        """Stop, and start again from the cursor that was committed last."""
        self.stop()
        self.start(self.box.cursor)

    def close(self) -> None:
        self.stop()

    # What the source said.

    def told(self, name: str) -> list[ChangeUpdated]:
        """Return all that was said of the change `name`."""
        return [event for event in list(self.box.events) if isinstance(event, ChangeUpdated) and event.change.id == self.id(name)]

    def causes(self, name: str) -> list[Cause]:
        return [event.cause for event in self.told(name)]

    def wait_for(self, name: str, cause: Cause, *, commit: str | None = None, approved: bool | None = None) -> Change:
        """Wait until the last word on the change `name` is `cause`, and it is at `commit`, and `approved` or not; return it as told."""

        def last() -> Change | None:
            told = self.told(name)
            if not told or cause not in (told[-1].cause, *told[-1].also):
                return None
            change = told[-1].change
            return change if commit in (None, change.commit) and approved in (None, change.approved) else None

        return wait_until(last, LIMIT)

    def moves(self, branch: str = "main") -> list[BranchMoved]:
        return [event for event in list(self.box.events) if isinstance(event, BranchMoved) and event.branch == branch]

    def wait_for_tip(self, commit: Sha | None, branch: str = "main") -> BranchMoved:
        return wait_until(lambda: next((event for event in self.moves(branch) if event.new == commit), None), LIMIT)

    def health(self, project: str | None = None) -> str:
        assert self.source is not None
        return self.source.project_health()[ProjectName(project or self.project)]

    def wait_for_health(self, good: Callable[[str], bool], project: str | None = None) -> str:
        return wait_until(lambda: self.health(project) if good(self.health(project)) else None, LIMIT)

    # What the gate asks of it.

    def report_of(self, subject: Change | BranchState, key: str, reason: str = "all jobs passed", *, again: bool = False) -> Report:
        return Report(key, ItemId("lab-1"), PipelineName("check"), subject, Verdict.SUCCESS, reason, again=again)

    def report(self, *reports: Report) -> None:
        assert self.source is not None
        self.source.report(reports)

    def answers(self, key: str) -> list[ReportDone]:
        return [event for event in list(self.box.events) if isinstance(event, ReportDone) and event.key == key]

    def wait_for_answer(self, key: str, count: int = 1) -> ReportDone:
        return wait_until(lambda: self.answers(key) if len(self.answers(key)) >= count else None, LIMIT)[-1]

    def submit(self, submit: Submit) -> SubmitDone:
        """Ask for it, and wait for the answer."""
        assert self.source is not None
        before = len(self._submitted(submit))
        self.source.submit(submit)
        return wait_until(lambda: self._submitted(submit)[before:], LIMIT)[0]

    def _submitted(self, submit: Submit) -> list[SubmitDone]:
        return [event for event in list(self.box.events) if isinstance(event, SubmitDone) and event.build_set == submit.build_set]


def text_of(report: Report) -> str:
    return f"{report.pipeline}: {report.verdict.value}: {report.reason}"
