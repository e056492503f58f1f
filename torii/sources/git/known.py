"""What a plain git source knows of its projects between two looks, and the cursor's text that keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from torii.errors import OperatorError
from torii.model.change import Change, ChangeStatus
from torii.model.ids import ChangeId, ProjectName, Sha
from torii.sources.git.refs import change_id

VERSION = 1


class UnreadableCursorError(OperatorError):
    """The store holds a cursor of a plain git connection that this Torii cannot read (made by a newer one, or damaged)."""


@dataclass(frozen=True, slots=True)
class KnownChange:
    """A change as it was last read. `name` is `<branch>/<name>`.

    `below` are the changes its commit stands on, the nearest only; `wants` those that its commit messages ask for by `Depends-On`;
    `problem` is what its commits say against a merge. `depends_on` and `blockers` follow from those of all changes.
    """

    project: ProjectName
    name: str
    branch: str
    patchset: Sha
    ref: str
    status: ChangeStatus = ChangeStatus.OPEN
    approved: bool = False
    disapproval: tuple[str, ...] = ()
    title: str = ""
    owner: str = ""
    below: tuple[ChangeId, ...] = ()
    wants: tuple[ChangeId, ...] = ()
    problem: str = ""
    depends_on: tuple[ChangeId, ...] = ()
    blockers: tuple[str, ...] = ()

    @property
    def id(self) -> ChangeId:
        return change_id(self.project, self.name)

    @property
    def open(self) -> bool:
        return self.status is ChangeStatus.OPEN

    def change(self) -> Change:
        """Return the change as the gate knows it."""
        return Change(
            id=self.id,
            project=self.project,
            branch=self.branch,
            patchset=self.patchset,
            commit=self.patchset,
            ref=self.ref,
            title=self.title,
            owner=self.owner,
            status=self.status,
            approved=self.approved,
            blockers=self.blockers,
            depends_on=self.depends_on,
        )


@dataclass(frozen=True, slots=True)
class KnownProject:
    """A project's branches and changes, as last read; `count` numbers its events. `changes` also holds the last few that ended."""

    branches: Mapping[str, Sha] = field(default_factory=lambda: MappingProxyType({}))
    changes: Mapping[str, KnownChange] = field(default_factory=lambda: MappingProxyType({}))
    count: int = 0


Known = Mapping[ProjectName, KnownProject]


def dump(known: Known) -> str:
    """Return the cursor's text, JSON."""
    return json.dumps({"version": VERSION, "projects": {name: _dump_project(project) for name, project in known.items()}})


def load(state: str) -> dict[ProjectName, KnownProject]:
    """Read what `dump` wrote, but for what follows from all changes together. Raises `UnreadableCursorError`."""
    try:
        document = json.loads(state)
        if document["version"] != VERSION:
            raise ValueError(f"its version is {document['version']!r}, this Torii reads {VERSION}")
        return {ProjectName(name): _load_project(ProjectName(name), project) for name, project in document["projects"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableCursorError(f"the cursor of a git connection cannot be read: {error!r}") from error


def _dump_project(project: KnownProject) -> dict[str, Any]:
    return {
        "count": project.count,
        "branches": dict(project.branches),
        "changes": {name: _dump_change(change) for name, change in project.changes.items()},
    }


def _load_project(name: ProjectName, document: Mapping[str, Any]) -> KnownProject:
    changes = {key: _load_change(name, key, value) for key, value in document["changes"].items()}
    return KnownProject({branch: Sha(sha) for branch, sha in document["branches"].items()}, changes, int(document["count"]))


def _dump_change(change: KnownChange) -> dict[str, Any]:
    document = {
        "branch": change.branch,
        "patchset": change.patchset,
        "ref": change.ref,
        "status": change.status.value,
        "approved": change.approved,
        "disapproval": change.disapproval,
        "title": change.title,
        "owner": change.owner,
        "below": change.below,
        "wants": change.wants,
        "problem": change.problem,
    }
    return {key: value for key, value in document.items() if value}


def _load_change(project: ProjectName, name: str, document: Mapping[str, Any]) -> KnownChange:
    return KnownChange(
        project=project,
        name=name,
        branch=document["branch"],
        patchset=Sha(document["patchset"]),
        ref=document["ref"],
        status=ChangeStatus(document["status"]),
        approved=document.get("approved", False),
        disapproval=tuple(document.get("disapproval", ())),
        title=document.get("title", ""),
        owner=document.get("owner", ""),
        below=tuple(ChangeId(other) for other in document.get("below", ())),
        wants=tuple(ChangeId(other) for other in document.get("wants", ())),
        problem=document.get("problem", ""),
    )
