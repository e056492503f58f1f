"""What the operator decided: pipelines and projects, as the gate needs to know them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from torii.model.ids import PipelineName, ProjectName


class Manager(Enum):
    """How the items of a pipeline stand to each other."""

    INDEPENDENT = "independent"
    DEPENDENT = "dependent"
    SERIAL = "serial"
    SUPERCEDENT = "supercedent"


class Precedence(Enum):
    """Which pipeline's builds go first when workers are short. The values are Gearman's priorities."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class Cause(Enum):
    """Why a source reports a change: what a trigger can name."""

    PATCHSET_CREATED = "patchset-created"
    APPROVED = "approved"
    UNAPPROVED = "unapproved"
    RECHECK = "recheck"
    ABANDONED = "abandoned"
    RESTORED = "restored"
    MERGED = "merged"
    UPDATED = "updated"
    BRANCH_UPDATED = "branch-updated"


class MergeMode(Enum):
    """How a change becomes part of its branch; the names are Gerrit's submit types, and `squash`."""

    FAST_FORWARD_ONLY = "fast-forward-only"
    MERGE_IF_NECESSARY = "merge-if-necessary"
    MERGE_ALWAYS = "merge-always"
    REBASE_IF_NECESSARY = "rebase-if-necessary"
    REBASE_ALWAYS = "rebase-always"
    CHERRY_PICK = "cherry-pick"
    SQUASH = "squash"


@dataclass(frozen=True, slots=True)
class Trigger:
    """Enter the pipeline on `cause`, for branches that match one of `branches` (globs; empty means any)."""

    cause: Cause
    branches: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ApprovalRule:
    """A vote of at least `value` on `label` (at most, where `value` is negative)."""

    label: str
    value: int


@dataclass(frozen=True, slots=True)
class Requirements:
    """What must hold of a change when it enters a pipeline and for as long as it is there."""

    approved: bool = False
    approvals: tuple[ApprovalRule, ...] = ()
    reject: tuple[ApprovalRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """How many items of a dependent queue are speculated at once: grows by `increase` a merge, divided by `decrease` a failure."""

    initial: int = 20
    floor: int = 3
    ceiling: int = 200
    increase: int = 1
    decrease: int = 2


@dataclass(frozen=True, slots=True)
class ReportRules:
    """What a pipeline tells the source, and with which votes (label, value)."""

    start: bool = False
    dequeued: bool = True
    success: tuple[tuple[str, int], ...] = ()
    failure: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class PipelineSpec:
    """One pipeline of `server.yml`. Only a dependent (or serial, with `merges`) pipeline merges what passed."""

    name: PipelineName
    manager: Manager
    triggers: tuple[Trigger, ...] = ()
    require: Requirements = field(default_factory=Requirements)
    precedence: Precedence = Precedence.NORMAL
    window: Window = field(default_factory=Window)
    report: ReportRules = field(default_factory=ReportRules)
    merges: bool = False
    strategy: str = "linear"
    trusted: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class ProjectSpec:
    """One gated project. `pipelines` limits which it takes part in; empty means all."""

    name: ProjectName
    merge_mode: MergeMode = MergeMode.MERGE_IF_NECESSARY
    pipelines: tuple[PipelineName, ...] = ()


@dataclass(frozen=True, slots=True)
class GateConfig:
    """All that the gate is configured with. `instance` tells this Torii's ids from another's on the same git server.

    `unregistered_limit` and `merge_retry` are seconds: how long a build may wait for a worker that knows its job, and how long the
    gate waits before it asks again for a merge that could not be tried. `merge_attempts` bounds the latter. `build_grace` is how
    many seconds past its own timeout a running build is given before it is taken for lost.
    """

    instance: str
    pipelines: tuple[PipelineSpec, ...]
    projects: tuple[ProjectSpec, ...]
    unregistered_limit: float = 600.0
    merge_retry: float = 5.0
    merge_attempts: int = 12
    build_grace: float = 300.0
