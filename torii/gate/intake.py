"""Who may enter a pipeline, who must leave it, and what waits at the door: the answers to news from the sources."""

from __future__ import annotations

from collections.abc import Container, Iterator

from torii.gate import words
from torii.gate.conclusion import depart, merged_change, set_tip
from torii.gate.door import hold, is_held, let_go, send_away
from torii.gate.line import advance, advance_alone
from torii.gate.reporting import report
from torii.gate.requirements import met_later, unmet
from torii.gate.state import Item, ItemPhase, Queue, tip_key
from torii.gate.together import partners, queue_name, regrouped, unit_of
from torii.gate.triggers import Entry, causes_of, entry, fires_on_branch
from torii.gate.world import World
from torii.model.change import BranchState, Change, ChangeStatus
from torii.model.command import Verdict
from torii.model.event import BranchMoved, ChangeUpdated, Dequeue
from torii.model.ids import ChangeId, ItemId, PipelineName, ProjectName, Sha
from torii.model.pipeline import Manager, PipelineSpec


def change_updated(world: World, event: ChangeUpdated) -> None:
    """A change was read anew: whoever no longer may be here leaves, whoever may now enter enters."""
    change = event.change
    if not world.first_sight(event.key):
        return
    if change.project not in world.projects:
        world.note(change.id, None, f"project {change.project} is not gated here")
        return
    waiting = list(world.dependants.get(change.id, ()))
    before = world.state.changes.get(change.id)
    causes = causes_of(event, before)
    match change.status:
        case ChangeStatus.MERGED:
            merged_change(world, change)
        case ChangeStatus.ABANDONED:
            world.close(change.id)
        case ChangeStatus.OPEN:
            world.learn(change)
    _refresh_items(world, change)
    if change.status is ChangeStatus.OPEN:
        for spec in world.state.config.pipelines:
            if (why := entry(spec, event, causes, world.state.now)) is not None:
                consider(world, spec, change, why)
        _unhold_unmet(world, change)
        reconsider(world, change.id)
    else:
        send_away(world, change.id, "it is no longer open")
    _reconsider_dependants(world, change.id, waiting)
    for partner in partners(before, change):
        reconsider(world, partner)


# -- leaving


def _refresh_items(world: World, change: Change) -> None:
    for number in list(world.items_of.get(change.id, ())):
        item = world.state.items.get(number)
        if item is None or not isinstance(item.subject, Change):
            continue
        ending, tell = _why_ends(world, item, item.subject, change)
        if ending:
            dismiss(world, item, ending, tell)
            continue
        if world.spec_of(item).merges and (ending := regrouped(item.subject, change)):
            hold(world, item.pipeline, change.id, ending)  # it comes back with those it merges with now
            dismiss(world, item, ending, tell=False)
            continue
        changed = item.subject.depends_on != change.depends_on
        item.subject = change
        world.touch(item)
        if changed and world.spec_of(item).manager is Manager.INDEPENDENT:
            _restart_alone(world, item, "what it depends on changed")


def _why_ends(world: World, item: Item, before: Change, now: Change) -> tuple[str, bool]:
    """Return why `item` must leave, empty if it may stay, and whether its change should be told."""
    spec = world.spec_of(item)
    if now.status is ChangeStatus.ABANDONED:
        return "the change was abandoned", False
    if now.status is ChangeStatus.MERGED:
        return "the change is merged already", False
    if now.patchset != before.patchset:
        return f"replaced by patch set {words.short(now.patchset)}", False
    if lacking := unmet(spec, now, item.enqueued_at):
        return f"no longer meets what {spec.name} requires: {lacking}", True
    if spec.manager is not Manager.INDEPENDENT and now.depends_on != before.depends_on and (lacking := _missing_ahead(world, item, now)):
        return lacking, True
    return "", False


def dismiss(world: World, item: Item, reason: str, tell: bool) -> None:
    """Take `item` out and stop its builds; one that is just being merged leaves when that is answered."""
    if item.phase is ItemPhase.SUBMITTING:
        item.ending = reason
        return
    queue = world.queue_of(item)
    if tell:
        report(world, item, Verdict.DEQUEUED, reason)
    depart(world, item, Verdict.DEQUEUED.value, reason)
    if world.spec_of(item).manager is not Manager.INDEPENDENT:
        advance(world, queue)


def _restart_alone(world: World, item: Item, reason: str) -> None:
    for build_set in list(item.build_sets):
        world.drop_set(item, build_set, reason)
    world.decide(item, f"tested again, because {reason}")
    advance_alone(world, item)


def dequeue(world: World, event: Dequeue) -> None:
    """An operator wants a change out."""
    if not world.first_sight(event.key):
        return
    for number in list(world.items_of.get(event.change, ())):
        item = world.state.items.get(number)
        if item is not None and event.pipeline in (None, item.pipeline):
            dismiss(world, item, f"taken out by {event.by}", tell=True)
    send_away(world, event.change, f"taken out by {event.by}")


# -- entering


def consider(world: World, spec: PipelineSpec, change: Change, why: Entry, asking: frozenset[ChangeId] = frozenset()) -> None:
    """Let `change` into the pipeline if it may enter; if only something else has to happen first, hold it at the door.

    `asking` are the changes for whose sake it is considered: what they depend on goes before them.
    """
    if not world.takes_part(change.project, spec.name):
        return
    if lacking := unmet(spec, change, world.state.now):
        if (at := met_later(spec, change, world.state.now)) is not None:
            hold(world, spec.name, change.id, lacking)
            world.remind(f"door {spec.name} {change.id}", at - world.state.now)
            return
        let_go(world, spec.name, change.id)
        world.note(change.id, spec.name, f"not taken into {spec.name}: {lacking}")
        return
    live = world.live_item(change.id, spec.name)
    if live is not None:
        if live.ending:
            hold(world, spec.name, change.id, f"its patch set {words.short(live.subject.patchset)} is just being merged")
        elif why.anew is not None:
            world.note(change.id, spec.name, f"{why.why}, but it is in {spec.name} already")
        return
    unit, lacking = unit_of(world, spec, change)
    if spec.manager is not Manager.INDEPENDENT:
        for one in unit:
            _bring_along(world, spec, one, asking | {change.id})
        if lacking := lacking or next(filter(None, (_not_ready(world, spec, one, unit) for one in unit)), ""):
            hold(world, spec.name, change.id, lacking)
            return
        if world.live_item(change.id, spec.name) is not None:
            return  # what it depends on has brought it along
    _enter(world, spec, unit, why)


def _bring_along(world: World, spec: PipelineSpec, change: Change, asking: frozenset[ChangeId]) -> None:
    """Let in what `change` depends on, as far as that may enter the same queue."""
    for dependency in change.depends_on:
        known = world.state.changes.get(dependency)
        if known is None or dependency in asking or not _same_queue(world, known, change) or unmet(spec, known, world.state.now):
            continue
        consider(world, spec, known, Entry(f"{change.id} depends on it"), asking)


def _enter(world: World, spec: PipelineSpec, unit: tuple[Change, ...], why: Entry) -> None:
    """Have the changes of `unit` join their queue, one behind the other."""
    alone = spec.manager is Manager.INDEPENDENT
    queue = world.queue(spec, queue_name(world, spec, unit[0]))
    full = not alone and queue.length >= queue.window
    items = [world.join(queue, change) for change in unit]
    for place, item in enumerate(items, queue.length - len(items) + 1):
        let_go(world, spec.name, item.subject.id)
        item.anew = why.anew
        item.together = tuple(one.id for one in items) if len(items) > 1 else ()
        waits = f", number {place} in queue {queue.name}; waits for a place in the window of {queue.window}" if full else ""
        world.decide(item, f"taken into {spec.name}: {why.why}{_with(unit)}{waits}")
        if spec.report.start:
            report(world, item, Verdict.START, f"taken into {spec.name}")
    if alone:
        advance_alone(world, items[0])
    elif not full:
        advance(world, queue)
    for change in unit:
        _reconsider_dependants(world, change.id, list(world.dependants.get(change.id, ())))


def _with(unit: tuple[Change, ...]) -> str:
    return f"; merges together: {words.listed([one.id for one in unit])}" if len(unit) > 1 else ""


def enter_anew(world: World, pipelines: Container[PipelineName]) -> None:
    """Have all that is in `pipelines`, which work in another way from now on, leave and enter again, in the same order."""
    items = [item for item in world.state.items.values() if item.pipeline in pipelines]
    for item in items:
        world.leave(item, "superseded", f"pipeline {item.pipeline} was configured anew")
    for item in items:
        spec, why = world.pipelines[item.pipeline], "it was there before the pipeline was configured anew"
        known = world.state.changes.get(item.subject.id)
        if not isinstance(item.subject, Change):
            _enter_branch(world, spec, item.subject, why)
        elif known is not None and not (item.ending and known.patchset == item.subject.patchset):
            consider(world, spec, known, Entry(why))
    for item in items:
        reconsider(world, item.subject.id)  # it may have waited at the door for the one that just left


def _same_queue(world: World, one: Change, other: Change) -> bool:
    def shared(change: Change) -> str | None:
        tip = world.state.tips.get(tip_key(change.project, change.branch))
        return tip.queue if tip else None

    return (one.project, one.branch) == (other.project, other.branch) or (shared(one) is not None and shared(one) == shared(other))


# -- waiting for what a change depends on


def _not_ready(world: World, spec: PipelineSpec, change: Change, unit: tuple[Change, ...]) -> str:
    """Return which dependency is neither merged nor ahead in the same queue nor in `unit`, in words; empty if none."""
    name = queue_name(world, spec, change)
    there = {one.id for one in unit}
    for dependency in change.depends_on:
        if dependency in there:
            continue
        ahead = world.live_item(dependency, spec.name)
        if ahead is None or ahead.queue != name:
            known = world.state.changes.get(dependency)
            why = (unmet(spec, known, world.state.now) if known else "it is not known here") or f"it is not in queue {name}"
            return f"depends on {dependency}, which has to merge first: {why}"
    return ""


def _missing_ahead(world: World, item: Item, now: Change) -> str:
    for dependency in now.depends_on:
        ahead = world.live_item(dependency, item.pipeline)
        if ahead is None or ahead.queue != item.queue or ahead.ticket > item.ticket:
            return f"depends on {dependency} now, which is not ahead of it"
    return ""


def _unhold_unmet(world: World, change: Change) -> None:
    now = world.state.now
    for spec in world.state.config.pipelines:
        if not is_held(world, spec.name, change.id):
            continue
        if (lacking := unmet(spec, change, now)) and met_later(spec, change, now) is None and let_go(world, spec.name, change.id):
            world.note(change.id, spec.name, f"no longer waits for {spec.name}: {lacking}")


def reconsider(world: World, change: ChangeId) -> None:
    """Look again at `change` where it waits at the door."""
    for spec in world.state.config.pipelines:
        known = world.state.changes.get(change)
        if known is not None and is_held(world, spec.name, change):
            consider(world, spec, known, Entry("what it waited for is there"))


def _reconsider_dependants(world: World, change: ChangeId, waiting: list[ChangeId]) -> None:
    """Look again at what waits at the door for `change`, and at checks that were made with an older state of it.

    `waiting` are those that depend on it, or did: once it has merged, nothing does any more.
    """
    for number in waiting:
        reconsider(world, number)
    newest = world.state.changes.get(change)
    for number in list(world.dependants.get(change, ())):
        for item in [world.state.items[live] for live in world.items_of.get(number, ())]:
            if world.spec_of(item).manager is not Manager.INDEPENDENT or not item.build_sets:
                continue
            tested = dict(item.build_sets[-1].changes).get(change)
            if tested is not None and (newest is None or newest.patchset != tested):
                _restart_alone(world, item, f"{change}, which it depends on, changed")


# -- branches


def branch_moved(world: World, event: BranchMoved) -> None:
    """A branch has a new tip: queues that stand on it look again, post-merge pipelines are triggered."""
    if not world.first_sight(event.key) or event.project not in world.projects:
        return
    if event.new is None:
        _branch_deleted(world, event)
        return
    key = tip_key(event.project, event.branch)
    tip = world.state.tips.get(key)
    news = tip is None or (event.new != tip.commit and (event.old == tip.commit or event.new not in tip.past))
    if news:
        set_tip(world, event.project, event.branch, event.new)
        tip = world.state.tips[key]
    if tip is not None and event.new == tip.commit:
        tip.queue = event.queue
    if news:
        advance_standing_on(world, event.project, event.branch)
    if not event.initial:
        _trigger_branch(world, event)


def advance_standing_on(world: World, project: ProjectName, branch: str) -> None:
    """Have every merging queue that may stand on this branch look again."""
    for queue in list(world.state.queues.values()):
        spec = world.pipelines[queue.pipeline]
        if spec.merges and any((item.subject.project, item.subject.branch) == (project, branch) for item in _speculated(world, queue)):
            advance(world, queue)


def _speculated(world: World, queue: Queue) -> Iterator[Item]:
    """Yield the head of `queue` and what follows it, as far as it is being tested."""
    for item in world.walk(queue):
        if item.ticket > queue.reach and item.id != queue.head:
            return
        yield item


def _branch_deleted(world: World, event: BranchMoved) -> None:
    set_tip(world, event.project, event.branch, None)
    for item in reversed(list(world.state.items.values())):  # from behind: nothing is tested again for those that go next
        if (item.subject.project, item.subject.branch) == (event.project, event.branch) and item.id in world.state.items:
            dismiss(world, item, f"branch {event.branch} was deleted", tell=isinstance(item.subject, Change))


def _trigger_branch(world: World, event: BranchMoved) -> None:
    assert event.new is not None
    for spec in world.state.config.pipelines:
        if not world.takes_part(event.project, spec.name):
            continue
        if not fires_on_branch(spec, event):
            continue
        state = BranchState(event.project, event.branch, event.new, event.old, event.title, event.by)
        _enter_branch(world, spec, state, f"{event.branch} is at {words.short(event.new)} now")


def _enter_branch(world: World, spec: PipelineSpec, state: BranchState, why: str) -> None:
    queue = world.queue(spec, queue_name(world, spec, state))
    if spec.manager is Manager.SUPERCEDENT:
        state = _supersede(world, queue.tail, state)
    item = world.join(queue, state)
    world.decide(item, f"taken into {spec.name}: {why}")
    advance(world, queue)


def _supersede(world: World, tail: ItemId | None, state: BranchState) -> BranchState:
    """Let `state` take the place of one that still waits; it then covers that one's range of commits too."""
    waiting = world.state.items.get(tail) if tail else None
    if waiting is None or waiting.ahead is None or not isinstance(waiting.subject, BranchState):
        return state
    old = waiting.subject.old
    world.leave(waiting, "superseded", f"superseded by {words.short(state.commit)} before it began")
    return BranchState(state.project, state.branch, state.commit, old, state.title, state.owner)


def learn_tip(world: World, project: ProjectName, branch: str, base: Sha, asked_at: Sha | None) -> bool:
    """Take a tip that a merger has just read, asked when the tip was known to be `asked_at`. Returns whether it was news.

    A tip that the branch had before is none, but where the merger looked after the newest tip was known here: then the branch was set back.
    """
    tip = world.state.tips.get(tip_key(project, branch))
    if tip is not None and (base == tip.commit or (base in tip.past and asked_at != tip.commit)):
        return False
    set_tip(world, project, branch, base)
    return tip is not None
