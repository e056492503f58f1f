"""What happens: everything the gate is ever told. Each event is journalled before it has any effect."""

from __future__ import annotations

from dataclasses import dataclass

from torii.model.build import FileComment, Result, StagedBranch, TestSummary
from torii.model.change import Approval, Change
from torii.model.ids import BuildId, BuildSetId, ChangeId, PipelineName, ProjectName, Sha
from torii.model.job import ConfigProblem, ProjectConfig
from torii.model.pipeline import Cause, GateConfig


@dataclass(frozen=True, slots=True)
class Configured:
    """The server started with this configuration. Always the first event of a process."""

    config: GateConfig


@dataclass(frozen=True, slots=True)
class ChangeUpdated:
    """A source read `change` anew because of `cause`. `key` names this occurrence: the same key twice is the same event.

    `also` are causes that the same occurrence is as well (a comment that approves). `comment` is what was said and `votes` what was voted
    just then, by `by`, who is in `groups`. `files` are the paths that the change alters. What a source was not asked for is empty,
    files None.
    """

    change: Change
    cause: Cause
    key: str
    by: str = ""
    also: tuple[Cause, ...] = ()
    comment: str = ""
    votes: tuple[Approval, ...] = ()
    groups: tuple[str, ...] = ()
    files: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class BranchMoved:
    """A branch has a new tip: `old` is None where it is new, `new` None where it was deleted.

    `queue` is what the `torii.yml` at the new tip names. `initial` marks the first sight of a branch that was there before
    Torii: it teaches the tip and starts nothing.
    """

    project: ProjectName
    branch: str
    old: Sha | None
    new: Sha | None
    key: str
    queue: str | None = None
    initial: bool = False
    title: str = ""
    by: str = ""


@dataclass(frozen=True, slots=True)
class Staged:
    """The merge was made and its staging refs are pushed.

    `branches` are the states this stage made or read, its own last. `files` are the paths its change alters; for
    a state that has landed, none where it is not known what it altered. `config` is None
    where the merged state has no `torii.yml` or (then `problems` says why) a wrong one; `tip_config` is the branch's own before the change.
    """

    branches: tuple[StagedBranch, ...]
    files: tuple[str, ...] = ()
    config: ProjectConfig | None = None
    problems: tuple[ConfigProblem, ...] = ()
    tip_config: ProjectConfig | None = None


@dataclass(frozen=True, slots=True)
class Conflict:
    """The change cannot be merged as asked; `files` clash, with `change` where the state ahead brought them in."""

    reason: str
    files: tuple[str, ...] = ()
    change: ChangeId | None = None


@dataclass(frozen=True, slots=True)
class MergeUnavailable:
    """The merge could not be tried (a remote is away, a ref is gone): nothing is known about the change."""

    reason: str


@dataclass(frozen=True, slots=True)
class MergeDone:
    build_set: BuildSetId
    outcome: Staged | Conflict | MergeUnavailable


@dataclass(frozen=True, slots=True)
class BuildStarted:
    """A build has begun. With another `number` than before: it was lost where it ran, and has been begun anew."""

    build: BuildId
    node: str = ""
    number: int | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class BuildStalled:
    """`build` is asked for, but cannot start for `reason` (no worker knows the job, say). An empty reason: it no longer stalls.

    Of a build that has started: whoever runs it cannot be asked what becomes of it. `away`: so it is of one that has not; it is waited
    for without a limit.
    """

    build: BuildId
    reason: str
    away: bool = False


@dataclass(frozen=True, slots=True)
class BuildDone:
    """A build ended. `duration` is in seconds. Exactly one a build id takes effect, the first."""

    build: BuildId
    result: Result
    duration: float | None = None
    detail: str = ""
    tests: TestSummary | None = None
    url: str | None = None
    comments: tuple[FileComment, ...] = ()


@dataclass(frozen=True, slots=True)
class ReportDone:
    """The report `key` was delivered, or `error` says why it could not be; `final` that it never can be."""

    key: str
    error: str = ""
    final: bool = False


@dataclass(frozen=True, slots=True)
class Merged:
    """The branch now is at `commit`, whose tree is `tree`."""

    commit: Sha
    tree: Sha


@dataclass(frozen=True, slots=True)
class Moved:
    """Nothing was merged: the branch is at `tip`, not at what was tested on."""

    tip: Sha | None


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was merged, and asking again will not help."""

    reason: str


@dataclass(frozen=True, slots=True)
class SubmitUnavailable:
    """Whether it merged is unknown or it could not be tried; asking again may help."""

    reason: str


@dataclass(frozen=True, slots=True)
class SubmitDone:
    build_set: BuildSetId
    outcome: Merged | Moved | Refused | SubmitUnavailable


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Dequeue:
    """An operator wants `change` out of `pipeline` (None: out of every one)."""

    change: ChangeId
    pipeline: PipelineName | None
    by: str
    key: str


Event = (
    Configured
    | ChangeUpdated
    | BranchMoved
    | MergeDone
    | BuildStarted
    | BuildStalled
    | BuildDone
    | ReportDone
    | SubmitDone
    | Tick
    | Dequeue
)
