"""Builds: what is asked for, how one ends, and what is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from torii.model.ids import BuildId, BuildSetId, ChangeId, PipelineName, ProjectName, Sha
from torii.model.job import JobDefinition
from torii.model.pipeline import Precedence


class Result(Enum):
    """How a build ended. The first five are Jenkins' own words; the rest are Torii's."""

    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    UNSTABLE = "UNSTABLE"
    ABORTED = "ABORTED"
    NOT_BUILT = "NOT_BUILT"
    TIMED_OUT = "TIMED_OUT"
    LOST = "LOST"
    """The infrastructure ended it: it says nothing about the change, and is run again within `attempts`."""
    UNREGISTERED = "UNREGISTERED"
    """No worker knew the job within the limit."""
    SKIPPED = "SKIPPED"
    """A job it needs did not succeed."""
    CANCELED = "CANCELED"
    """Torii stopped it because its result no longer mattered."""


@dataclass(frozen=True, slots=True)
class StagedBranch:
    """A branch after a speculative merge: `base` is the real tip under it, `commit` and `tree` the staged state, `ref` its staging ref."""

    project: ProjectName
    branch: str
    base: Sha
    commit: Sha
    tree: Sha
    ref: str


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """All that any backend needs to start a build.

    `synced` is true where the branch's own `torii.yml` defines `job` just so; a job that the change alters or adds is not.
    `changes` are the changes in the tested state, in merge order, as (change, patch set). `old` and `new` are set after a merge.
    """

    id: BuildId
    build_set: BuildSetId
    job: JobDefinition
    synced: bool
    pipeline: PipelineName
    project: ProjectName
    branch: str
    change: ChangeId
    patchset: str
    changes: tuple[tuple[ChangeId, str], ...]
    ref: str
    commit: Sha
    precedence: Precedence = Precedence.NORMAL
    old: Sha | None = None
    new: Sha | None = None


@dataclass(frozen=True, slots=True)
class TestSummary:
    """Counts of a build's test report; `failing` holds the first few names."""

    total: int = 0
    failed: int = 0
    skipped: int = 0
    failing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileComment:
    """What a build says of a line of a file (from 1; None: of the file). `end_line` is the last line meant, where there are several."""

    path: str
    message: str
    line: int | None = None
    end_line: int | None = None


@dataclass(frozen=True, slots=True)
class BuildSummary:
    """One build as a report shows it. `duration` is in seconds, None where it never ran."""

    id: BuildId
    job: str
    result: Result
    voting: bool
    duration: float | None = None
    detail: str = ""
    tests: TestSummary | None = None
    url: str | None = None
    comments: tuple[FileComment, ...] = ()
