"""What the gate wants done. Each command may be performed twice without harm: its ids are its idempotency key."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from torii.model.build import BuildRequest, BuildSummary
from torii.model.change import Change, Subject
from torii.model.ids import BuildId, BuildSetId, ChangeId, ItemId, PipelineName, ProjectName, Sha
from torii.model.job import ConfigProblem
from torii.model.pipeline import MergeMode, Precedence


@dataclass(frozen=True, slots=True)
class StageChange:
    """Merge this change onto its branch."""

    change: ChangeId
    project: ProjectName
    branch: str
    ref: str
    commit: Sha
    mode: MergeMode


@dataclass(frozen=True, slots=True)
class StageBase:
    """Start `branch` from `commit` instead of its tip: a state staged before, under real tip `tip`, that `changes` made (merge order)."""

    project: ProjectName
    branch: str
    commit: Sha
    tip: Sha
    changes: tuple[ChangeId, ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """One build set's state: `changes` merged in order on what stands before it. `project` and `branch` are the item's own.

    `since` is for a state that has landed, with nothing to merge: the commit from which its changed files are counted.
    """

    build_set: BuildSetId
    project: ProjectName
    branch: str
    changes: tuple[StageChange, ...]
    since: Sha | None = None


@dataclass(frozen=True, slots=True)
class Merge:
    """Make the speculative states of `stages`, each on top of the one before, the first on `base` (and on branch tips elsewhere).

    Answered by one `MergeDone` a stage. A stage that conflicts leaves no trace: the next stands on the one before it.
    Staging refs are `refs/staging/<pipeline>/<build set>/<branch>`.
    """

    pipeline: PipelineName
    base: tuple[StageBase, ...]
    stages: tuple[Stage, ...]
    precedence: Precedence = Precedence.NORMAL


@dataclass(frozen=True, slots=True)
class StartBuild:
    """Answered by at most one `BuildStarted` and exactly one `BuildDone`."""

    request: BuildRequest


@dataclass(frozen=True, slots=True)
class StopBuild:
    """End a build, whoever runs it. Answered by one `BuildDone`, also where nothing is known of it."""

    build: BuildId
    reason: str


class Verdict(Enum):
    """What a report says. Each is final for its build set but START."""

    START = "start"
    SUCCESS = "success"
    FAILURE = "failure"
    CONFLICT = "merge conflict"
    CONFIG_ERROR = "configuration error"
    NOT_MERGED = "not merged"
    DEQUEUED = "dequeued"
    UNAVAILABLE = "could not be tried"


@dataclass(frozen=True, slots=True)
class Report:
    """Tell the source what became of `subject`. `key` is `<build set or item>:<verdict>`; answered by one `ReportDone`.

    `again` where it was asked for before, so that it may have been delivered already.
    """

    key: str
    item: ItemId
    pipeline: PipelineName
    subject: Subject
    verdict: Verdict
    reason: str
    builds: tuple[BuildSummary, ...] = ()
    problems: tuple[ConfigProblem, ...] = ()
    votes: tuple[tuple[str, int], ...] = ()
    again: bool = False


@dataclass(frozen=True, slots=True)
class Submit:
    """Merge the tested `commit` (with `tree`) of `change`, if its branch still is at `onto` and the change still is what was tested.

    A source that merges by itself (Gerrit) makes a commit of its own with that tree; for it, a branch whose tree is `onto_tree` is as
    good as one at `onto`. `onto_tree` is None where only the commit is known.

    Answered by one `SubmitDone`. Done already (the branch is at or past `commit`): answered by `Merged` again.
    """

    build_set: BuildSetId
    change: Change
    onto: Sha
    commit: Sha
    tree: Sha
    mode: MergeMode
    onto_tree: Sha | None = None


@dataclass(frozen=True, slots=True)
class DropStaging:
    """Delete these staging refs, as (project, ref). Not answered: what is left over is collected at the next start."""

    refs: tuple[tuple[ProjectName, str], ...]


Command = Merge | StartBuild | StopBuild | Report | Submit | DropStaging
