"""Work out what happened to a project from what was known and what its branches are now. Pure; the poller does the reading.

`plan` says what must be read of which commits, `advance` turns the answers into events and into what is known from now on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from torii.model.change import ChangeStatus
from torii.model.event import BranchMoved, ChangeUpdated
from torii.model.ids import ChangeId, ProjectName, Sha
from torii.model.pipeline import Cause
from torii.sources.git.commits import OwnCommits
from torii.sources.git.depend import Standing, resolve
from torii.sources.git.known import Known, KnownChange, KnownProject
from torii.sources.git.refs import HEADS, ChangeRefs, Layout

REMEMBERED = 500
"""How many ended changes of a project are remembered, to tell a restored one from a new one."""

SourceEvent = ChangeUpdated | BranchMoved
_Key = Callable[[ProjectName, str], str]


@dataclass(frozen=True, slots=True)
class Landing:
    """Torii's own merge of a change: its patch set `patchset` went into the branch as `commit`."""

    patchset: Sha
    commit: Sha


Landings = Mapping[str, Landing]
"""By a change's `<branch>/<name>`."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to read: `tips` are the new tips (branch -> commit); `branches` are those whose changes are read anew.

    Of such a branch: the patch sets of its changes by name, those of changes whose refs have gone too; in `branch_tips` its own
    commit; in `landed` what Torii itself merged of those changes. `refs` are where commits can be fetched from.
    """

    tips: Mapping[str, Sha]
    branches: Mapping[str, Mapping[str, Sha]]
    branch_tips: Mapping[str, Sha]
    landed: Mapping[str, frozenset[Sha]]
    refs: Mapping[str, Sha]


@dataclass(frozen=True, slots=True)
class Tip:
    """What a branch's new tip says. `queue` is what its `torii.yml` names."""

    title: str = ""
    owner: str = ""
    queue: str | None = None


@dataclass(frozen=True, slots=True)
class BranchReading:
    """What the commits of a branch's changes say: those that the branch `contains`, and what the others say of their changes."""

    contains: frozenset[Sha] = frozenset()
    own: Mapping[str, OwnCommits] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Reading:
    """The answers to a `Plan`."""

    tips: Mapping[str, Tip] = field(default_factory=lambda: MappingProxyType({}))
    branches: Mapping[str, BranchReading] = field(default_factory=lambda: MappingProxyType({}))


def plan(known: KnownProject | None, layout: Layout, landings: Landings) -> Plan:
    """Return what must be read before `advance`: nothing where only approvals changed."""
    old = known or KnownProject()
    tips = {branch: sha for branch, sha in layout.branches.items() if old.branches.get(branch) != sha}
    stale = set(tips)
    for name, refs in layout.changes.items():
        before = old.changes.get(name)
        if before is None or before.patchset != refs.patchset or before.branch != refs.branch or before.status is ChangeStatus.ABANDONED:
            stale.add(refs.branch)
    wanted: dict[str, dict[str, Sha]] = {branch: {} for branch in stale}
    for name, refs in layout.changes.items():
        if refs.branch in stale:
            wanted[refs.branch][name] = refs.patchset
    for name, change in _vanished(old, layout):
        if change.branch in stale:
            wanted[change.branch][name] = change.patchset
    landed = {
        branch: frozenset(landings[name].commit for name, sha in names.items() if name in landings and landings[name].patchset == sha)
        for branch, names in wanted.items()
    }
    fetchable = {HEADS + branch: sha for branch, sha in layout.branches.items() if branch in stale}
    fetchable |= {change.ref: change.patchset for change in layout.changes.values() if change.branch in stale}
    return Plan(
        tips=tips,
        branches={branch: names for branch, names in wanted.items() if names},
        branch_tips={branch: layout.branches[branch] for branch in stale},
        landed=landed,
        refs=fetchable,
    )


@dataclass(frozen=True, slots=True)
class Look:
    """One look at one project: everything that `advance` goes by."""

    source: str
    project: ProjectName
    layout: Layout
    reading: Reading
    landings: Landings = field(default_factory=lambda: MappingProxyType({}))


def advance(known: Known, look: Look) -> tuple[dict[ProjectName, KnownProject], list[SourceEvent]]:
    """Return what is known after `look`, and what happened, in the order in which the gate should hear of it."""
    first = look.project not in known
    old = known.get(look.project, KnownProject())
    now, replaced = _read_changes(old, look)
    draft = {**known, look.project: replace(old, branches=dict(look.layout.branches), changes=now)}
    touched = {change.id for name, change in {**old.changes, **now}.items() if old.changes.get(name) != now.get(name)}
    settled = _settle(draft, touched)
    counts = {name: project.count for name, project in settled.items()}

    def key(project: ProjectName, what: str) -> str:
        counts[project] = counts.get(project, 0) + 1
        return f"{look.source}/{project}#{counts[project]}:{what}"

    events: list[SourceEvent] = list(_branch_events(old, look, first, key))
    pairs = _pairs(known, settled, replaced)
    merged = {change.id for project in settled.values() for change in project.changes.values() if change.status is ChangeStatus.MERGED}
    # What ended comes first; a change that depends on another depends on all that the other depends on, and so on more.
    for before, after in sorted(pairs, key=lambda pair: (pair[1].open, len(pair[1].depends_on), pair[1].id)):
        events += [
            ChangeUpdated(after.change(), cause, key(after.project, f"{cause.value}:{after.name}@{after.patchset}"))
            for cause in _causes(before, after, merged)
        ]
    return {name: replace(project, count=counts.get(name, project.count)) for name, project in settled.items()}, events


def resolve_all(known: Known) -> dict[ProjectName, KnownProject]:
    """Return `known`, fresh from a cursor, with what follows from all changes together filled in."""
    return _settle(known, {change.id for project in known.values() for change in project.changes.values()})


def _vanished(old: KnownProject, layout: Layout) -> Iterator[tuple[str, KnownChange]]:
    return ((name, change) for name, change in old.changes.items() if change.open and name not in layout.changes)


def _read_changes(old: KnownProject, look: Look) -> tuple[dict[str, KnownChange], list[KnownChange]]:
    """Return the project's changes now, the longest ended first; and those that ended because their name now means another branch."""
    ended = {name: change for name, change in old.changes.items() if name not in look.layout.changes and not change.open}
    while len(ended) > REMEMBERED:  # those that end now are all told, and counted the next time
        del ended[next(iter(ended))]
    for name, change in _vanished(old, look.layout):
        merged = _landed(look, change.branch, name, change.patchset)
        status = ChangeStatus.MERGED if merged else ChangeStatus.ABANDONED
        ended[name] = replace(change, status=status, approved=False, disapproval=(), depends_on=(), blockers=())
    replaced = []
    present = {}
    for name, refs in look.layout.changes.items():
        before = old.changes.get(name)
        if before is not None and before.open and before.branch != refs.branch:
            replaced.append(replace(before, status=ChangeStatus.ABANDONED, approved=False))
        present[name] = _read_change(before, refs, look)
    return {**ended, **present}, replaced


def _read_change(before: KnownChange | None, refs: ChangeRefs, look: Look) -> KnownChange:
    reading = look.reading.branches.get(refs.branch)
    change = KnownChange(
        project=look.project,
        name=refs.name,
        branch=refs.branch,
        patchset=refs.patchset,
        ref=refs.ref,
        approved=refs.approved,
        disapproval=refs.blockers,
    )
    if before is not None:
        change = replace(change, depends_on=before.depends_on, blockers=before.blockers)
    if reading is None:  # neither its branch nor its patch set moved
        assert before is not None
        return replace(
            change,
            status=before.status,
            title=before.title,
            owner=before.owner,
            below=before.below,
            wants=before.wants,
            problem=before.problem,
        )
    if _landed(look, refs.branch, refs.name, refs.patchset):
        title, owner = (before.title, before.owner) if before is not None and before.patchset == refs.patchset else ("", "")
        change = replace(change, approved=False, disapproval=(), depends_on=(), blockers=())
        return replace(change, status=ChangeStatus.MERGED, title=title, owner=owner)
    own = reading.own.get(refs.name, OwnCommits())
    return replace(change, title=own.title, owner=own.owner, below=own.below, wants=own.wants, problem=own.problem)


def _landed(look: Look, branch: str, name: str, patchset: Sha) -> bool:
    """Whether this patch set is in its branch, by itself or as the commit that Torii made of it."""
    reading = look.reading.branches.get(branch)
    if reading is None:
        return False
    landing = look.landings.get(name)
    return patchset in reading.contains or (landing is not None and landing.patchset == patchset and landing.commit in reading.contains)


def _settle(known: Known, touched: set[ChangeId]) -> dict[ProjectName, KnownProject]:
    """Return `known` with `depends_on` and `blockers` of all changes that `touched` has a bearing on."""
    if not touched:
        return dict(known)
    everything = {change.id: change for project in known.values() for change in project.changes.values()}
    standings = resolve(everything, touched)
    by_project: dict[ProjectName, dict[str, KnownChange]] = {}
    for id_, standing in standings.items():
        change = everything[id_]
        by_project.setdefault(change.project, {})[change.name] = _standing(change, standing)
    return {
        name: replace(project, changes={**project.changes, **by_project[name]}) if name in by_project else project
        for name, project in known.items()
    }


def _standing(change: KnownChange, standing: Standing) -> KnownChange:
    own = (*change.disapproval, *((change.problem,) if change.problem else ()))
    return replace(change, depends_on=standing.depends_on, blockers=(*own, *standing.blockers))


def _branch_events(old: KnownProject, look: Look, first: bool, key: _Key) -> Iterator[BranchMoved]:
    for branch in sorted({*old.branches, *look.layout.branches}):
        before, after = old.branches.get(branch), look.layout.branches.get(branch)
        if before == after:
            continue
        tip = look.reading.tips.get(branch, Tip())
        name = key(look.project, f"branch:{branch}@{after or 'deleted'}")
        yield BranchMoved(look.project, branch, before, after, name, tip.queue, initial=first, title=tip.title, by=tip.owner)


def _pairs(before: Known, after: Known, replaced: list[KnownChange]) -> list[tuple[KnownChange | None, KnownChange]]:
    """Return (before, after) of each change that differs; one whose branch is another now ends and begins."""
    pairs: list[tuple[KnownChange | None, KnownChange]] = []
    cut = {change.id for change in replaced}
    for name, project in after.items():
        old = before.get(name)
        if old is not None and old.changes is project.changes:
            continue
        for change in project.changes.values():
            known = old.changes.get(change.name) if old is not None else None
            if change.id not in cut and known != change:
                pairs.append((known, change))
            elif change.id in cut:
                pairs += [(known, gone) for gone in replaced if gone.id == change.id]
                pairs.append((None, change))
    return pairs


def _causes(before: KnownChange | None, after: KnownChange, merged: Set[ChangeId]) -> Iterator[Cause]:
    """Yield what happened to a change, in the order of telling."""
    if not after.open:
        if before is not None and before.open:
            yield Cause.MERGED if after.status is ChangeStatus.MERGED else Cause.ABANDONED
        return
    fresh = before is None or not before.open or before.patchset != after.patchset
    if before is None or (fresh and before.status is not ChangeStatus.ABANDONED and before.patchset != after.patchset):
        yield Cause.PATCHSET_CREATED
    elif fresh:
        yield Cause.RESTORED
    if after.approved and (fresh or not (before is not None and before.approved)):
        yield Cause.APPROVED
    elif not fresh and before is not None:
        if before.approved and not after.approved:
            yield Cause.UNAPPROVED
        elif _altered(before, after, merged):
            yield Cause.UPDATED


def _altered(before: KnownChange, after: KnownChange, merged: Set[ChangeId]) -> bool:
    """Whether the gate should hear of the difference. That a dependency merged it hears from that change itself."""
    if replace(before.change(), depends_on=()) != replace(after.change(), depends_on=()):
        return True
    return set(before.depends_on) - merged != set(after.depends_on)
