"""Frozen snapshots of the gate for everyone else: rows of the store, pages, the command line. Never read back by the gate."""

from __future__ import annotations

from dataclasses import dataclass

from torii.model.build import Result, TestSummary
from torii.model.ids import BuildId, BuildSetId, ChangeId, ItemId, PipelineName, ProjectName, QueueName, Sha


@dataclass(frozen=True, slots=True)
class ItemView:
    """A queue item. `position` orders a queue's items (a ticket: smaller is nearer the head, with gaps), None once it left.

    Times are seconds since the epoch. `state` is one of waiting, merging, building, passed, failing, submitting, done. `outcome`, empty
    until it left, is `merged` or the value of its verdict, or `superseded` or `no jobs`. `reason` says in words why it is where it is.
    `url` is the change's own page, where its source has one.
    """

    id: ItemId
    pipeline: PipelineName
    queue: QueueName
    change: ChangeId
    project: ProjectName
    branch: str
    patchset: str
    title: str
    owner: str
    state: str
    reason: str
    outcome: str
    position: int | None
    build_set: BuildSetId | None
    built_on: tuple[ChangeId, ...]
    commit: Sha | None
    enqueued_at: float
    left_at: float | None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class BuildView:
    """A build. `state` is one of waiting, queued, running, done; `built_on` are the changes ahead that its state assumed merged.

    `kept_from` is the build that had this result, where the tree was the same and it was not run again: that one has the log.
    """

    id: BuildId
    build_set: BuildSetId
    item: ItemId
    job: str
    attempt: int
    voting: bool
    state: str
    result: Result | None
    reason: str
    node: str
    url: str | None
    requested_at: float | None
    started_at: float | None
    ended_at: float | None
    duration: float | None
    tests: TestSummary | None
    built_on: tuple[ChangeId, ...] = ()
    kept_from: BuildId | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing the gate decided, and why, in a sentence for users. `item` is None where no item came of it."""

    at: float
    change: ChangeId
    pipeline: PipelineName | None
    item: ItemId | None
    text: str


@dataclass(frozen=True, slots=True)
class Records:
    """All that changed since records were last taken."""

    items: tuple[ItemView, ...] = ()
    builds: tuple[BuildView, ...] = ()
    decisions: tuple[Decision, ...] = ()
