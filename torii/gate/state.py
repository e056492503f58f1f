"""What the gate remembers. Plain mutable records, owned by the gate alone; a snapshot is this tree, written out."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from torii.model.build import FileComment, Result, StagedBranch, TestSummary
from torii.model.change import Change, Subject
from torii.model.command import Report, StageBase
from torii.model.ids import BuildId, BuildSetId, ChangeId, ItemId, PipelineName, ProjectName, QueueName, Sha
from torii.model.job import ConfigProblem, JobDefinition
from torii.model.pipeline import GateConfig


class BuildPhase(Enum):
    """How far a build is. WAITING: for what it needs; QUEUED: asked for."""

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a result is kept from: the build that had it, and the patch set which that tested."""

    build: BuildId
    patchset: str


@dataclass(slots=True)
class Build:
    """One run of one job. `stalled` is why it cannot start (or, once begun, be seen), empty if it can; times are seconds since the epoch.

    `number` is what whoever runs it calls it. `kept` is where its result is from, if it was not run at all because that is known.
    """

    id: BuildId
    job: JobDefinition
    synced: bool
    attempt: int = 1
    phase: BuildPhase = BuildPhase.WAITING
    result: Result | None = None
    stalled: str = ""
    detail: str = ""
    node: str = ""
    number: int | None = None
    url: str | None = None
    tests: TestSummary | None = None
    comments: tuple[FileComment, ...] = ()
    requested_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    duration: float | None = None
    kept: Origin | None = None


class SetPhase(Enum):
    """How far a build set is. CONFLICT and BROKEN are failures that no build could change; MISSING has nothing to run."""

    PLANNED = "planned"
    MERGING = "merging"
    BUILDING = "building"
    CONFLICT = "conflict"
    BROKEN = "broken"
    UNAVAILABLE = "unavailable"
    MISSING = "missing"


@dataclass(slots=True)
class BuildSet:
    """One speculative state of an item: its change on top of build set `parent`, or on the real branch tip where that is None.

    Parents form a tree: a path of the design is the way from a build set up to the tip. `state` is what a build set on top of this one
    starts from; `onto` the commit under this item's own merge, which must be the branch tip when it is submitted. Where the parent merged
    while this one is being merged, `state` is the parent's until that is answered. `asked_at` is the branch tip as it was known when the
    merge was asked for. `kept` says, in words, which results are from an earlier build set; empty if none are.
    """

    id: BuildSetId
    item: ItemId
    parent: BuildSetId | None
    phase: SetPhase = SetPhase.PLANNED
    reason: str = ""
    changes: tuple[tuple[ChangeId, str], ...] = ()
    staged: tuple[StagedBranch, ...] = ()
    state: tuple[StageBase, ...] = ()
    onto: Sha | None = None
    asked_at: Sha | None = None
    problems: tuple[ConfigProblem, ...] = ()
    builds: list[Build] = field(default_factory=list)
    merge_attempts: int = 0
    kept: str = ""
    told: bool = False
    """Whether it was reported as passed."""

    @property
    def own(self) -> StagedBranch:
        """The staged state of the item's own branch."""
        return self.staged[-1]

    @property
    def failed(self) -> bool:
        """Whether this state can no longer pass, though some of its builds may still run."""
        if self.phase is not SetPhase.BUILDING:
            return self.phase not in (SetPhase.PLANNED, SetPhase.MERGING)
        for build in self.builds:  # a plain loop: this is asked of each state in the window at every look
            if build.phase is BuildPhase.DONE and build.result not in (Result.SUCCESS, None) and build.job.voting:
                return True
        return False

    @property
    def complete(self) -> bool:
        """Whether nothing more will be learnt about this state."""
        if self.phase is SetPhase.BUILDING:
            return all(build.phase is BuildPhase.DONE for build in self.builds)
        return self.phase not in (SetPhase.PLANNED, SetPhase.MERGING)

    @property
    def passed(self) -> bool:
        return self.phase is SetPhase.BUILDING and self.complete and not self.failed


class ItemPhase(Enum):
    """Where an item is in its stay. SUBMITTING: its merge is asked for, and nothing but the answer moves it."""

    QUEUED = "queued"
    SUBMITTING = "submitting"
    LEFT = "left"


@dataclass(slots=True)
class Item:
    """A stay of a subject in a pipeline.

    `chosen` is the build set that is being merged; `ending` why the item has to leave as soon as that is answered, should it not merge.
    `together` are the items that it merges together with, itself among them, in merge order; empty where it merges alone.
    `anew` names the jobs that were asked to run anew, whatever results are kept: all of them if it is empty, none if it is None.
    """

    id: ItemId
    pipeline: PipelineName
    queue: QueueName
    subject: Subject
    ticket: int
    enqueued_at: float
    ahead: ItemId | None = None
    behind: ItemId | None = None
    phase: ItemPhase = ItemPhase.QUEUED
    build_sets: list[BuildSet] = field(default_factory=list)
    last_set: int = 0
    chosen: BuildSetId | None = None
    reason: str = ""
    ending: str = ""
    outcome: str = ""
    submit_attempts: int = 0
    left_at: float | None = None
    anew: tuple[str, ...] | None = None
    together: tuple[ItemId, ...] = ()

    def build_set(self, wanted: BuildSetId | None) -> BuildSet | None:
        """Return the build set called `wanted`, or None."""
        return next((build_set for build_set in self.build_sets if build_set.id == wanted), None)


@dataclass(slots=True)
class Queue:
    """A change queue: a linked list of items from `head` to `tail`, so that joining and leaving cost the same at any length.

    `reach` is the highest ticket of an item that was ever tested here: behind it none has a build set.
    """

    name: QueueName
    pipeline: PipelineName
    window: int
    head: ItemId | None = None
    tail: ItemId | None = None
    length: int = 0
    reach: int = 0


@dataclass(slots=True)
class BranchTip:
    """What is known of a branch. `past` are the tips it had before, newest last, to tell an echo from news.

    A source that merges by itself makes a commit of its own with the tree that was tested. `twins` are the tested commits that the tip
    stands for: what was built on them was built on it. `tree` is the tip's, where that is known.
    """

    commit: Sha
    queue: str | None = None
    past: list[Sha] = field(default_factory=list)
    tree: Sha | None = None
    twins: tuple[Sha, ...] = ()

    def stands_for(self, commit: Sha) -> bool:
        """Return whether what was built on `commit` was built on this tip."""
        return commit == self.commit or commit in self.twins


@dataclass(slots=True)
class KeptResults:
    """The last complete build set of a change in a pipeline that tests each alone: what it tested, and how that came out."""

    patchset: str
    trees: tuple[tuple[ProjectName, str, Sha], ...]
    builds: list[Build]


@dataclass(slots=True)
class State:
    """All of it.

    Keys of `tips` are `<project> <branch>`; `timers` maps a name to when it is due; `held` a pipeline and change to
    why it may not enter yet; `reports` are those not delivered yet, by key, and `report_attempts` how often that failed; `seen` are the
    newest event keys.
    """

    config: GateConfig
    items: dict[ItemId, Item] = field(default_factory=dict)
    queues: dict[str, Queue] = field(default_factory=dict)
    changes: dict[ChangeId, Change] = field(default_factory=dict)
    held: dict[str, str] = field(default_factory=dict)
    tips: dict[str, BranchTip] = field(default_factory=dict)
    timers: dict[str, float] = field(default_factory=dict)
    reports: dict[str, Report] = field(default_factory=dict)
    report_attempts: dict[str, int] = field(default_factory=dict)
    seen: dict[str, None] = field(default_factory=dict)
    stopping: dict[BuildId, str] = field(default_factory=dict)
    """Builds that were told to stop, and why, until they answer."""
    kept: dict[ChangeId, dict[PipelineName, KeptResults]] = field(default_factory=dict)
    """The results of open changes."""
    last_number: int = 0
    now: float = 0.0


def tip_key(project: ProjectName, branch: str) -> str:
    """Return the key of `State.tips` (no ref holds a space)."""
    return f"{project} {branch}"
