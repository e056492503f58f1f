"""Changes that merge together (Gerrit's whole topics): one unit of a merging pipeline, with a build set for each of them.

They enter together, one behind the other in one queue. None is merged before all of them have passed, and if one leaves all leave.
"""

from __future__ import annotations

from collections.abc import Iterator

from torii.gate import words
from torii.gate.requirements import unmet
from torii.gate.state import tip_key
from torii.gate.world import World
from torii.model.change import BranchState, Change
from torii.model.ids import ChangeId, QueueName
from torii.model.pipeline import Manager, PipelineSpec


def unit_of(world: World, spec: PipelineSpec, change: Change) -> tuple[tuple[Change, ...], str]:
    """Return what enters `spec` with `change`, in merge order, and why that cannot be now, in words; empty if it can."""
    if not spec.merges or len(change.together) < 2 or change.id not in change.together:
        return (change,), ""
    lacking = next(_obstacles(world, spec, change), "")
    known = tuple(world.state.changes[one] for one in change.together if one in world.state.changes)
    return ((change,), lacking) if lacking else (known, "")


def _obstacles(world: World, spec: PipelineSpec, change: Change) -> Iterator[str]:
    name = queue_name(world, spec, change)
    ahead: set[ChangeId] = set()
    for number in change.together:
        known, who = world.state.changes.get(number), f"merges together with {number}"
        if known is None:
            yield f"{who}, which is not known here"
        elif not world.takes_part(known.project, spec.name):
            yield f"{who}, which is not in {spec.name}"
        elif set(known.together) != set(change.together):
            yield f"{who}, which is not known to merge with just these"
        elif lacking := unmet(spec, known, world.state.now):
            yield f"{who}, which may not enter yet: {lacking}"
        elif (other := queue_name(world, spec, known)) != name:
            yield f"{who}, which is gated in queue {other}, not in {name}: name one queue in the torii.yml of both"
        elif number != change.id and world.live_item(number, spec.name) is not None:
            yield f"{who}, which is in {spec.name} without it"
        elif later := [one for one in known.depends_on if one in change.together and one not in ahead]:
            yield f"{number} depends on {later[0]}, which would merge together with it but after it"
        ahead.add(number)


def partners(*changes: Change | None) -> list[ChangeId]:
    """Return those that merge, or did, together with a change that is known in these states."""
    there = {change.id for change in changes if change is not None}
    return list(dict.fromkeys(one for change in changes if change is not None for one in change.together if one not in there))


def regrouped(before: Change, now: Change) -> str:
    """Return, in words, that other changes merge together with this one than before; empty if they are the same."""
    if set(partners(before)) == set(partners(now)):
        return ""
    return f"merges together with {words.listed(partners(now))} now" if partners(now) else "merges alone now"


def queue_name(world: World, spec: PipelineSpec, subject: Change | BranchState) -> QueueName:
    """Return the queue of `subject`: the one its branch's `torii.yml` names, else one of the project and branch's own."""
    if spec.manager is Manager.INDEPENDENT:
        return QueueName(subject.project)
    tip = world.state.tips.get(tip_key(subject.project, subject.branch))
    shared = tip.queue if tip and spec.manager is Manager.DEPENDENT else None
    return QueueName(shared or f"{subject.project} {subject.branch}")
