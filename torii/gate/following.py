"""Merge what passed on top of a change that is just being merged, without waiting for the answer about that one.

A source merges a commit onto the very commit it was tested on, or not at all, and takes what it is asked in order. So where the change
ahead does not land, what was to follow it is turned down, and is tested again; and a run of changes that are ready costs one push.
"""

from __future__ import annotations

from torii.gate.conclusion import merge
from torii.gate.state import BuildSet, Item, ItemPhase, Queue
from torii.gate.world import World
from torii.model.change import Change


def follow(world: World, queue: Queue) -> None:
    """Have whatever directly follows a change that is being merged merged too, as far as it passed on top of just that state."""
    ahead: Item | None = None
    for item in world.walk(queue):
        if item.phase is ItemPhase.QUEUED:
            passed = _passed_on(world, item, ahead) if ahead is not None else []
            if not passed:
                return
            merge(world, passed)
        if f"submit {item.id}" in world.state.timers:
            return  # it could not be merged yet, and nothing can before it
        ahead = item


def _passed_on(world: World, item: Item, ahead: Item) -> list[tuple[Item, BuildSet]]:
    """Return what of `item` (and of what merges together with it) passed on top of what is being merged for `ahead`; [] if not all did."""
    unit = world.unit(item)
    passed: list[tuple[Item, BuildSet]] = []
    below = ahead.build_set(ahead.chosen)
    if ahead.ending:
        return []
    for one in unit[unit.index(item) :]:
        branch = (ahead.subject.project, ahead.subject.branch)
        if below is None or (one.subject.project, one.subject.branch) != branch or one.phase is not ItemPhase.QUEUED:
            return []
        below = _on(world, one, below)
        if below is None:
            return []
        passed.append((one, below))
    return passed


def _on(world: World, item: Item, below: BuildSet) -> BuildSet | None:
    """Return the build set of `item` that passed on top of `below`, on the same branch; None if there is none."""
    if not isinstance(item.subject, Change):
        return None
    for build_set in item.build_sets:
        stands = build_set.parent == below.id and build_set.onto == below.own.commit
        if stands and build_set.passed and not _lacks(world, item.subject, build_set):
            return build_set
    return None


def _lacks(world: World, change: Change, build_set: BuildSet) -> bool:
    there = {number for number, _ in build_set.changes}
    return any(number not in there for number in change.depends_on if number in world.state.changes)
