"""Frozen rows of what the gate remembers, for pages and the command line."""

from __future__ import annotations

from torii.gate import words
from torii.gate.state import Build, BuildPhase, BuildSet, Item, ItemPhase, SetPhase
from torii.model.ids import ItemId
from torii.model.view import BuildView, ItemView


def current_set(item: Item) -> BuildSet | None:
    """Return the build set that speaks for `item`: the one that decided it, else the newest."""
    return item.build_set(item.chosen) or (item.build_sets[-1] if item.build_sets else None)


def _state(item: Item, build_set: BuildSet | None) -> str:
    match item.phase:
        case ItemPhase.LEFT:
            return "done"
        case ItemPhase.SUBMITTING:
            return "submitting"
        case ItemPhase.QUEUED:
            pass
    if build_set is None:
        return "waiting"
    if build_set.failed:
        return "failing"
    if build_set.passed:
        return "passed"
    return "building" if build_set.phase is SetPhase.BUILDING else "merging"


def item(item: Item) -> ItemView:
    """Return the row of `item` as it stands."""
    build_set, subject = current_set(item), item.subject
    return ItemView(
        id=item.id,
        pipeline=item.pipeline,
        queue=item.queue,
        change=subject.id,
        project=subject.project,
        branch=subject.branch,
        patchset=subject.patchset,
        title=subject.title,
        owner=subject.owner,
        state=_state(item, build_set),
        reason=item.reason,
        outcome=item.outcome,
        position=None if item.phase is ItemPhase.LEFT else item.ticket,
        build_set=build_set.id if build_set else item.chosen,
        built_on=tuple(change for change, _ in build_set.changes[:-1]) if build_set else (),
        commit=build_set.own.commit if build_set and build_set.staged else None,
        enqueued_at=item.enqueued_at,
        left_at=item.left_at,
        url=subject.url,
    )


def build(build_set: BuildSet, build: Build) -> BuildView:
    """Return the row of `build` as it stands."""
    return BuildView(
        id=build.id,
        build_set=build_set.id,
        item=ItemId(build_set.item),
        job=build.job.name,
        attempt=build.attempt,
        voting=build.job.voting,
        state=build.phase.value,
        result=build.result if build.phase is BuildPhase.DONE else None,
        reason=_reason(build),
        node=build.node,
        url=build.url,
        requested_at=build.requested_at,
        started_at=build.started_at,
        ended_at=build.ended_at,
        duration=build.duration,
        tests=build.tests,
        built_on=tuple(change for change, _ in build_set.changes[:-1]),
        kept_from=build.kept.build if build.kept else None,
    )


def _reason(build: Build) -> str:
    if build.kept is None:
        return build.stalled or build.detail
    return f"not run again, kept from patch set {words.short(build.kept.patchset)}{f': {build.detail}' if build.detail else ''}"
