"""What is gated: a change at one patch set, or (after the merge) a new state of a branch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from torii.model.ids import ChangeId, ProjectName, Sha
from torii.model.pipeline import MergeMode


class ChangeStatus(Enum):
    OPEN = "open"
    MERGED = "merged"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True)
class Approval:
    """One vote. `at` is in seconds since the epoch; `by` the voter's user name (else e-mail), `groups` the voter's, if asked for."""

    label: str
    value: int
    by: str
    at: float
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """A change as its source read it a moment ago.

    `patchset` differs between any two patch sets of the change (a number on Gerrit, the commit on plain git); `ref` is where its
    commit can be fetched. `approved` is the source's own word for "a human wants this merged", and `blockers` says, in words, what
    stands against it. `depends_on` names the open changes it must not merge without, each before those that depend on it.
    `together` names the changes that a merge of this one merges too, itself among them, in merge order (Gerrit's whole topics); empty
    where it merges alone. `merge` is how its branch takes changes, where the source knows; None: as the project is configured.
    """

    id: ChangeId
    project: ProjectName
    branch: str
    patchset: str
    commit: Sha
    ref: str
    title: str = ""
    owner: str = ""
    url: str | None = None
    status: ChangeStatus = ChangeStatus.OPEN
    approved: bool = False
    blockers: tuple[str, ...] = ()
    approvals: tuple[Approval, ...] = ()
    depends_on: tuple[ChangeId, ...] = ()
    together: tuple[ChangeId, ...] = ()
    merge: MergeMode | None = None
    topic: str = ""
    hashtags: tuple[str, ...] = ()
    wip: bool = False
    private: bool = False


@dataclass(frozen=True, slots=True)
class BranchState:
    """A branch at a commit that has landed: what a post-merge pipeline works on. `old` is None for a new branch."""

    project: ProjectName
    branch: str
    commit: Sha
    old: Sha | None = None
    title: str = ""
    owner: str = ""
    url: str | None = None

    @property
    def id(self) -> ChangeId:
        """The name that all states of this branch share, such as `app@main`."""
        return ChangeId(f"{self.project}@{self.branch}")

    @property
    def patchset(self) -> str:
        return self.commit


Subject = Change | BranchState
"""What a queue item is about."""
