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
    COMMENT_ADDED = "comment-added"
    VOTE_DELETED = "vote-deleted"
    READY = "ready"
    TOPIC_CHANGED = "topic-changed"
    HASHTAGS_CHANGED = "hashtags-changed"
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
class ApprovalRule:
    """A vote of at least `value` on `label` (at most, where `value` is negative; any vote, where it is None).

    It must be by one of `users` (globs, of user name or e-mail) or someone in one of `groups`, where any are given, and at least
    `older_than` or at most `newer_than` seconds old when the change enters.
    """

    label: str
    value: int | None
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    older_than: float | None = None
    newer_than: float | None = None


@dataclass(frozen=True, slots=True)
class Trigger:
    """Enter the pipeline on `cause`, where all that is given besides matches; empty means any.

    `branches`, `topics`, `hashtags`, `files` and `users` are globs, of which one must match (of `files`: one altered path). `comment` is a
    regular expression that some line of the comment must match as a whole, upper or lower case; the jobs in its group `jobs`, if it has
    one, are run anew, the others only if they have no result for the same state. `votes` are rules of which the votes just cast must
    meet one. `groups` are names, of which whoever caused it must be in one.
    """

    cause: Cause
    branches: tuple[str, ...] = ()
    comment: str = ""
    votes: tuple[ApprovalRule, ...] = ()
    topics: tuple[str, ...] = ()
    hashtags: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Requirements:
    """What must hold of a change when it enters a pipeline and for as long as it is there.

    `topics`, `hashtags` and `owners` are globs, of which one must match; of those called `reject_...` none may. `wip` and `private`
    None: either.
    """

    approved: bool = False
    approvals: tuple[ApprovalRule, ...] = ()
    reject: tuple[ApprovalRule, ...] = ()
    wip: bool | None = None
    private: bool | None = None
    topics: tuple[str, ...] = ()
    hashtags: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    reject_topics: tuple[str, ...] = ()
    reject_hashtags: tuple[str, ...] = ()
    reject_owners: tuple[str, ...] = ()


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
    """One pipeline of `server.yml`. Only a dependent (or serial, with `merges`) pipeline merges what passed.

    `own_jobs`: whether a change that alters or adds jobs is tested with them; else with its branch's own.
    """

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
    own_jobs: bool = True


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
