"""What follows when nothing more is to be learnt about an item: report it, merge it, or send it away with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torii.gate import words
from torii.gate.backoff import backoff
from torii.gate.door import hold
from torii.gate.keeping import remember
from torii.gate.reporting import report
from torii.gate.state import BranchTip, BuildSet, Item, ItemPhase, SetPhase, tip_key
from torii.gate.together import partners, regrouped
from torii.gate.world import World
from torii.model.change import Change
from torii.model.command import Submit, Verdict
from torii.model.event import Merged, Moved, Refused, SubmitDone, SubmitUnavailable
from torii.model.ids import ProjectName, Sha
from torii.model.pipeline import Manager

PAST_TIPS = 100

_FAILURES = {
    SetPhase.CONFLICT: Verdict.CONFLICT,
    SetPhase.BROKEN: Verdict.CONFIG_ERROR,
    SetPhase.UNAVAILABLE: Verdict.UNAVAILABLE,
}


def conclude(world: World, item: Item, build_set: BuildSet) -> bool:
    """Give the verdict on `item` that `build_set` earned. Returns whether the item left its queue."""
    remember(world, item, build_set)
    if build_set.phase is SetPhase.MISSING:
        depart(world, item, "no jobs", build_set.reason)
        return True
    if not build_set.passed:
        reason = _with_kept(words.failure(build_set), build_set)
        verdict = _FAILURES.get(build_set.phase, Verdict.FAILURE)
        report(world, item, verdict, reason, build_set)
        shrink(world, item)
        depart(world, item, verdict.value, reason)
        return True
    if world.spec_of(item).merges and isinstance(item.subject, Change):
        merge(world, [(item, build_set)])
        return False
    count = len(build_set.builds)
    reason = f"passed {words.ground(build_set)}" if count else f"passed without builds: {build_set.reason}"
    reason = _with_kept(reason, build_set)
    report(world, item, Verdict.SUCCESS, reason, build_set)
    depart(world, item, Verdict.SUCCESS.value, reason)
    return True


def merge(world: World, passed: Sequence[tuple[Item, BuildSet]]) -> None:
    """Have what `passed` merged, in order: one item, or all that merge together. All are reported first, then all are asked for."""
    for item, build_set in passed:
        if not build_set.told:
            build_set.told = True
            report(world, item, Verdict.SUCCESS, f"passed {words.ground(build_set)}, merging it", build_set)
        item.phase, item.chosen = ItemPhase.SUBMITTING, build_set.id
        world.decide(item, f"passed, being merged into {item.subject.branch}")
    for item, build_set in passed:
        assert isinstance(item.subject, Change)
        submit(world, item.subject, build_set)


def _with_kept(reason: str, build_set: BuildSet) -> str:
    return f"{reason}; {build_set.kept}" if build_set.kept else reason


def turn_down(world: World, item: Item, build_set: BuildSet, reason: str) -> None:
    """Let `item` leave because what was asked of it cannot be done. That says nothing about its change: there is no vote."""
    report(world, item, Verdict.UNAVAILABLE, reason, build_set, votes=())
    depart(world, item, Verdict.UNAVAILABLE.value, reason)


def depart(world: World, item: Item, outcome: str, reason: str) -> None:
    """Let `item` leave; what cannot merge without it leaves too. The caller advances the queue."""
    needing = () if outcome == "merged" else tuple(world.dependants.get(item.subject.id, ()))
    alone = world.spec_of(item).manager is Manager.INDEPENDENT
    unit = [other for other in world.unit(item) if other is not item]
    world.leave(item, outcome, reason)
    for partner in () if outcome == "merged" else unit:
        if partner.id in world.state.items and not partner.ending:
            _leave_with(world, item, partner, f"merges together with {item.subject.id}, which left: {reason}")
    for change in () if alone else needing:
        other = world.live_item(change, item.pipeline)
        if other is None or other.queue != item.queue:
            continue
        why = f"depends on {item.subject.id}, which left: {reason}"
        report(world, other, Verdict.DEQUEUED, why)
        if other.phase is ItemPhase.SUBMITTING:
            other.ending = why  # it was to follow at once, and will be turned down
        else:
            depart(world, other, Verdict.DEQUEUED.value, why)


def _leave_with(world: World, item: Item, other: Item, reason: str) -> None:
    """Let `other` leave too, because it merges together with `item`."""
    known = world.state.changes.get(item.subject.id)
    if known is None or (isinstance(item.subject, Change) and regrouped(item.subject, known)):  # the rest may come back without it
        hold(world, other.pipeline, other.subject.id, reason)
    else:
        report(world, other, Verdict.DEQUEUED, reason)
    if other.phase is ItemPhase.SUBMITTING:
        other.ending = reason
    else:
        depart(world, other, Verdict.DEQUEUED.value, reason)


# -- merging for good


def submit(world: World, change: Change, build_set: BuildSet) -> None:
    """Ask for the merge of exactly what `build_set` tested."""
    own = build_set.own
    onto = build_set.onto or own.base
    under = _tree_of(world, build_set, onto)
    world.commands.append(Submit(build_set.id, change, onto, own.commit, own.tree, world.mode_of(change), under))


def _tree_of(world: World, build_set: BuildSet, onto: Sha) -> Sha | None:
    """Return the tree of the commit `onto` that `build_set` is to be merged onto: one that is just being merged, or the branch tip."""
    own, item = build_set.own, world.state.items[build_set.item]
    while (ahead := merging_ahead(world, item)) is not None:
        chosen = ahead.build_set(ahead.chosen)
        if chosen is not None and (chosen.own.project, chosen.own.branch, chosen.own.commit) == (own.project, own.branch, onto):
            return chosen.own.tree
        item = ahead
    tip = world.state.tips.get(tip_key(own.project, own.branch))
    return tip.tree if tip is not None and tip.stands_for(onto) else None


def submit_done(world: World, event: SubmitDone) -> None:
    """The answer to a merge. The caller advances the queues of the branch."""
    build_set = world.sets.get(event.build_set)
    item = world.state.items.get(build_set.item) if build_set else None
    if build_set is None or item is None or item.phase is not ItemPhase.SUBMITTING or item.chosen != build_set.id:
        return
    assert isinstance(item.subject, Change)
    match event.outcome:
        case Merged() as merged:
            _merged(world, item, item.subject, build_set, merged)
        case Moved(tip):
            _back_in_line(item)
            set_tip(world, item.subject.project, item.subject.branch, tip)
            moved = f"on the tip of {item.subject.branch}, because {item.subject.branch} moved past the gate to {words.short(tip)}"
            if build_set.parent is not None:
                moved = f"because {build_set.changes[-2][0]}, which it was tested on top of, was not merged"
            world.drop_set(item, build_set, moved)
            if item.ending:
                depart(world, item, Verdict.DEQUEUED.value, item.ending)
            else:
                world.decide(item, f"tested again {moved}")
                _call_back(world, item)
        case Refused() if item.ending:
            depart(world, item, Verdict.DEQUEUED.value, item.ending)
        case Refused(reason):
            _not_merged(world, item, build_set, reason)
        case SubmitUnavailable() if item.ending and item.together:
            depart(world, item, Verdict.DEQUEUED.value, item.ending)
        case SubmitUnavailable() if (other := _tested_again(world, item)) is not None:
            _wait_for(world, item, other)
        case SubmitUnavailable(reason) if (ahead := merging_ahead(world, item)) is not None:
            # Not its own failure yet: it is asked for again after the change ahead, whose attempts count.
            _after(world, item, ahead)
            world.decide(item, f"passed; waits for {ahead.subject.id}, which could not be merged yet: {reason}")
        case SubmitUnavailable(reason):
            item.submit_attempts += 1
            config = world.state.config
            if item.submit_attempts >= config.merge_attempts and item.ending:
                depart(world, item, Verdict.DEQUEUED.value, item.ending)
            elif item.submit_attempts >= config.merge_attempts:
                _not_merged(world, item, build_set, f"after {item.submit_attempts} attempts: {reason}")
            else:
                world.remind(f"submit {item.id}", backoff(config.merge_retry, item.submit_attempts))
                world.decide(item, f"passed, but could not be merged yet (attempt {item.submit_attempts}): {reason}")


def _tested_again(world: World, item: Item) -> Item | None:
    """Return which of those that merge together with `item` has to be tested again; None if none has."""
    return next((other for other in world.unit(item) if other.phase is ItemPhase.QUEUED), None)


def _call_back(world: World, item: Item) -> None:
    """`item` is tested again: what merges together with it, and could not be merged yet, waits for that."""
    for other in world.unit(item):
        if other.phase is ItemPhase.SUBMITTING and f"submit {other.id}" in world.state.timers:
            _wait_for(world, other, item)


def _wait_for(world: World, item: Item, other: Item) -> None:
    world.cancel_reminder(f"submit {item.id}")
    _back_in_line(item)
    world.decide(item, f"passed; waits for {other.subject.id}, which merges together with it and is tested again")


def merging_ahead(world: World, item: Item) -> Item | None:
    """Return the item just ahead of `item`, if that is being merged too: then nothing is known of `item` before it."""
    ahead = world.state.items.get(item.ahead) if item.ahead is not None else None
    return ahead if ahead is not None and ahead.phase is ItemPhase.SUBMITTING else None


def submit_again(world: World, item: Item) -> None:
    """Ask once more for the merge of `item`, or see to it that this is done as soon as it is asked for once more of the one ahead."""
    ahead = merging_ahead(world, item)
    if ahead is not None and f"submit {ahead.id}" in world.state.timers:
        _after(world, item, ahead)
    else:
        submit_once_more(world, item)


def submit_once_more(world: World, item: Item) -> None:
    """Ask once more for the merge of `item`, if it is being merged."""
    build_set = item.build_set(item.chosen)
    if build_set is not None and item.phase is ItemPhase.SUBMITTING and isinstance(item.subject, Change):
        submit(world, item.subject, build_set)


def ask_in_order(world: World) -> None:
    """A process has started, and asks for every merge anew: none before one ahead of it that waits for its time."""
    for item in world.state.items.values():
        if item.phase is not ItemPhase.SUBMITTING or f"submit {item.id}" in world.state.timers:
            continue
        if (ahead := merging_ahead(world, item)) is not None and f"submit {ahead.id}" in world.state.timers:
            _after(world, item, ahead)


def _after(world: World, item: Item, ahead: Item) -> None:
    due = world.state.timers.get(f"submit {ahead.id}", world.state.now + world.state.config.merge_retry)
    world.remind(f"submit {item.id}", max(0.0, due - world.state.now) + 0.001)  # a source takes submits in the order they come in


def _back_in_line(item: Item) -> None:
    item.phase, item.chosen, item.submit_attempts = ItemPhase.QUEUED, None, 0


def _not_merged(world: World, item: Item, build_set: BuildSet, reason: str) -> None:
    report(world, item, Verdict.NOT_MERGED, reason, build_set)
    shrink(world, item)
    depart(world, item, Verdict.NOT_MERGED.value, f"passed, but was not merged: {reason}")


def _merged(world: World, item: Item, change: Change, build_set: BuildSet, merged: Merged) -> None:
    queue, spec = world.queue_of(item), world.spec_of(item)
    tested = what_landed(world, item, build_set, merged)
    _land(world, build_set, merged, tested)
    if tested is not None:
        for other in world.tested_behind(item):
            for standing in other.build_sets:
                if standing.parent == build_set.id:
                    standing.parent = build_set.parent  # what it stood on is the branch now
                    if standing.phase is SetPhase.MERGING:
                        standing.state = build_set.state  # a merger may be standing it on that just now
        reason = f"merged as {words.short(merged.commit)}"
    else:
        reason = (
            f"merged as {words.short(merged.commit)}, but tree {words.short(merged.tree)} landed and {words.short(build_set.own.tree)} "
            "was tested: something else reached the branch at the same time, and everything behind is tested anew"
        )
    queue.window = min(spec.window.ceiling, queue.window + spec.window.increase) if spec.manager is Manager.DEPENDENT else queue.window
    known = world.state.changes.get(change.id)
    if known is None or known.patchset == change.patchset:  # else a newer patch set came meanwhile, and is open
        merged_change(world, change)
    depart(world, item, "merged", reason)


def what_landed(world: World, item: Item, build_set: BuildSet, merged: Merged) -> BuildSet | None:
    """Return the build set that tested what landed: that of `item`, or one behind, whose merge was asked for in the same go; or None."""
    if build_set.own.tree == merged.tree:
        return build_set
    branch = (build_set.own.project, build_set.own.branch)
    for other in world.behind(item):
        chosen = other.build_set(other.chosen)
        if chosen is None:
            return None
        if (chosen.own.project, chosen.own.branch) == branch and chosen.own.tree == merged.tree:
            return chosen
    return None


def _land(world: World, build_set: BuildSet, merged: Merged, tested: BuildSet | None) -> None:
    """Remember where the branch is, and that it is as `tested` had it, whatever commit the source made of that."""
    project, branch = build_set.own.project, build_set.own.branch
    tip = world.state.tips.get(tip_key(project, branch))
    if tip is None or build_set.own.commit == merged.commit or merged.commit not in tip.past:
        set_tip(world, project, branch, merged.commit)
    tip = world.state.tips[tip_key(project, branch)]
    if tip.commit != merged.commit:
        return  # the branch has moved on since, and that was heard of before this
    tip.tree = merged.tree
    if tested is not None and not tip.stands_for(tested.own.commit):
        tip.twins = (*tip.twins, tested.own.commit)


def merged_change(world: World, change: Change) -> None:
    """Forget an open change because it is part of its branch now: nothing depends on it any more, or has to be merged with it."""
    for partner in partners(change, world.state.changes.get(change.id)):
        if (known := world.state.changes.get(partner)) is not None:
            world.learn(_apart(known, change))
    for number in world.items_of.get(change.id, ()):
        item = world.state.items[number]
        for other in world.unit(item):
            other.together = tuple(one for one in other.together if one != number)
            if isinstance(other.subject, Change):
                other.subject = _apart(other.subject, change)
        item.together = ()
    for dependant in list(world.dependants.get(change.id, ())):
        known = world.state.changes[dependant]
        world.learn(_without(known, change))
        for number in world.items_of.get(dependant, ()):
            item = world.state.items[number]
            if isinstance(item.subject, Change):
                item.subject = _without(item.subject, change)
    world.close(change.id)


def _without(change: Change, dependency: Change) -> Change:
    return replace(change, depends_on=tuple(one for one in change.depends_on if one != dependency.id))


def _apart(change: Change, merged: Change) -> Change:
    return replace(change, together=tuple(one for one in change.together if one != merged.id))


def set_tip(world: World, project: ProjectName, branch: str, commit: Sha | None) -> None:
    """Remember that the branch is at `commit` now."""
    key = tip_key(project, branch)
    if commit is None:
        world.state.tips.pop(key, None)
        return
    tip = world.state.tips.get(key)
    if tip is None:
        world.state.tips[key] = BranchTip(commit)
    elif tip.commit != commit:
        tip.past = [*tip.past[-PAST_TIPS:], tip.commit]
        tip.commit, tip.tree, tip.twins = commit, None, ()


def shrink(world: World, item: Item) -> None:
    """Speculate on fewer items after a failure."""
    spec = world.spec_of(item)
    if spec.manager is Manager.DEPENDENT:
        queue = world.queue_of(item)
        queue.window = max(spec.window.floor, queue.window // spec.window.decrease)
