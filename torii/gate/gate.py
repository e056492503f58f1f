"""The gate's one entrance: an event goes in, the commands that follow come out."""

from __future__ import annotations

from typing import assert_never

from torii.gate.building import (
    build_done,
    build_stalled,
    build_started,
    listen_anew,
    merge_done,
    merge_due,
    overrun,
    request_of,
    stalled_too_long,
)
from torii.gate.conclusion import ask_in_order, depart, merging_ahead, submit_again, submit_done, submit_once_more, what_landed
from torii.gate.intake import advance_standing_on, branch_moved, change_updated, dequeue, enter_anew, reconsider
from torii.gate.keeping import forget_kept
from torii.gate.line import advance, merge_of
from torii.gate.reporting import once_more, report, report_done, report_due
from torii.gate.requirements import unmet
from torii.gate.state import BuildPhase, BuildSet, Item, ItemPhase, SetPhase, State
from torii.gate.together import partners
from torii.gate.world import World
from torii.model.build import BuildRequest
from torii.model.change import Change
from torii.model.command import Command, StartBuild, StopBuild, Verdict
from torii.model.event import (
    BranchMoved,
    BuildDone,
    BuildStalled,
    BuildStarted,
    ChangeUpdated,
    Configured,
    Dequeue,
    Event,
    Merged,
    MergeDone,
    ReportDone,
    SubmitDone,
    Tick,
)
from torii.model.ids import BuildId, BuildSetId, ChangeId, ItemId
from torii.model.pipeline import GateConfig, Manager, PipelineSpec
from torii.model.view import Records

SNAPSHOT_FORMAT = 1
"""Grows whenever `State` changes in a way that defaults cannot bridge; `torii.store` then knows how to read the older one."""


class Gate:
    """Decides. Deterministic: the same events at the same times give the same commands, which is what a replay relies on.

    `now` is in seconds since the epoch. Should it ever jump back, what waits for its time goes back with it and waits no longer for that.
    """

    def __init__(self, state: State | None = None) -> None:
        self._world = World(state or State(GateConfig("none", (), ())))

    @property
    def state(self) -> State:
        """What the gate remembers, for a snapshot. To be read, never changed."""
        return self._world.state

    def step(self, event: Event, now: float) -> list[Command]:
        """Take in `event` and return what is to be done about it, in order."""
        world = self._world
        world.set_clock(now)
        self._handle(world, event)
        for name in list(world.due()):
            self._fall_due(world, name)
        world.departed.clear()
        commands, world.commands = world.commands, []
        return commands

    def drain(self) -> Records:
        """Return the rows and decisions that changed since the last call."""
        return self._world.drain()

    def next_due(self) -> float | None:
        """Return when the next timer falls due, in seconds since the epoch; None if there is none."""
        return min(self._world.state.timers.values(), default=None)

    def _handle(self, world: World, event: Event) -> None:
        match event:
            case Configured(config):
                _configured(world, config)
            case ChangeUpdated():
                change_updated(world, event)
            case BranchMoved():
                branch_moved(world, event)
            case MergeDone():
                merge_done(world, event)
            case BuildStarted():
                build_started(world, event)
            case BuildStalled():
                build_stalled(world, event)
            case BuildDone():
                build_done(world, event)
            case ReportDone():
                report_done(world, event)
            case SubmitDone():
                _submit_done(world, event)
            case Dequeue():
                dequeue(world, event)
            case Tick():
                pass
            case _:
                assert_never(event)

    def _fall_due(self, world: World, name: str) -> None:
        kind, _, number = name.partition(" ")
        match kind:
            case "merge":
                merge_due(world, BuildSetId(number))
            case "stall":
                stalled_too_long(world, BuildId(number))
            case "overrun":
                overrun(world, BuildId(number))
            case "report":
                report_due(world, number)
            case "door":
                reconsider(world, ChangeId(number.partition(" ")[2]))
            case "submit" if item := world.state.items.get(ItemId(number)):
                submit_again(world, item)

    def outstanding(self) -> list[Command]:
        """Return every command that has no answer yet, to be performed again after a restart. Each does no harm twice."""
        world = self._world
        for item in world.state.items.values():
            if item.phase is ItemPhase.SUBMITTING and f"submit {item.id}" not in world.state.timers:
                submit_once_more(world, item)
        for queue in world.state.queues.values():
            merging = [(item, one) for item in world.walk(queue) for one in item.build_sets if one.phase is SetPhase.MERGING]
            for chain in _chains(merging, alone=world.pipelines[queue.pipeline].manager is Manager.INDEPENDENT):
                world.commands.append(merge_of(world, chain))
        stops = [StopBuild(build, reason) for build, reason in world.state.stopping.items()]
        commands: list[Command] = [*stops, *map(once_more, world.state.reports.values()), *world.commands]
        world.commands = []
        return commands + [StartBuild(request) for request in self.running()]

    def running(self) -> list[BuildRequest]:
        """Return the builds that are asked for and not over."""
        world = self._world
        return [
            request_of(world, world.state.items[build_set.item], build_set, build)
            for build_set, build in world.builds.values()
            if build.phase in (BuildPhase.QUEUED, BuildPhase.RUNNING)
        ]

    def build_sets(self) -> frozenset[BuildSetId]:
        """Return the build sets that are alive: whatever staging ref belongs to none of them is a leftover."""
        return frozenset(self._world.sets)


def _configured(world: World, config: GateConfig) -> None:
    """Take a configuration into use. What it no longer lets in leaves; what it treats in another way enters anew."""
    before = world.pipelines
    world.state.config = config
    world.configure()
    after = world.pipelines
    world.pipelines = {**before, **after}  # what leaves a pipeline that is no more leaves by the old rules
    for item in list(world.state.items.values()):
        if item.id not in world.state.items:
            continue
        if item.pipeline not in after or not world.takes_part(item.subject.project, item.pipeline):
            depart(world, item, Verdict.DEQUEUED.value, "its pipeline or project is no longer configured")
        elif isinstance(item.subject, Change) and (lacking := unmet(after[item.pipeline], item.subject, item.enqueued_at)):
            reason = f"does not meet what {item.pipeline} requires by now: {lacking}"
            report(world, item, Verdict.DEQUEUED, reason)
            depart(world, item, Verdict.DEQUEUED.value, reason)
    world.pipelines = after
    forget_kept(world)
    listen_anew(world)
    ask_in_order(world)
    enter_anew(world, {spec.name for spec in after.values() if _way(before.get(spec.name, spec)) != _way(spec)})
    for queue in list(world.state.queues.values()):
        spec = after[queue.pipeline]
        if spec.manager is Manager.DEPENDENT:
            queue.window = min(spec.window.ceiling, max(spec.window.floor, queue.window))
        advance(world, queue)


def _way(spec: PipelineSpec) -> tuple[Manager, bool]:
    """Return what cannot change under items that stand in `spec`."""
    return spec.manager, spec.merges


def _submit_done(world: World, event: SubmitDone) -> None:
    build_set = world.sets.get(event.build_set)
    item = world.state.items.get(build_set.item) if build_set else None
    if isinstance(event.outcome, Merged) and item is not None and item.chosen == event.build_set:
        _merge_what_it_stands_on(world, item, event.outcome)
    waiting = [*world.dependants.get(item.subject.id, ()), *_partners(item)] if item is not None else []
    submit_done(world, event)
    if item is not None:
        advance_standing_on(world, item.subject.project, item.subject.branch)
        queue = world.state.queues.get(f"{item.pipeline} {item.queue}")
        if queue is not None:
            advance(world, queue)
        for change in (item.subject.id, *waiting):
            reconsider(world, change)


def _partners(item: Item) -> list[ChangeId]:
    return partners(item.subject) if isinstance(item.subject, Change) else []


def _merge_what_it_stands_on(world: World, item: Item, merged: Merged) -> None:
    """What has landed holds the changes ahead that were to be merged before it: their own answers may come later, or were lost."""
    build_set, ahead = item.build_set(item.chosen), merging_ahead(world, item)
    below = ahead.build_set(ahead.chosen) if ahead is not None else None
    if build_set is None or below is None or below.id != build_set.parent or what_landed(world, item, build_set, merged) is None:
        return
    if (below.own.project, below.own.branch) != (build_set.own.project, build_set.own.branch):
        return
    if merged.commit == build_set.own.commit:
        merged = Merged(below.own.commit, below.own.tree)  # it was made on top of just that
    _submit_done(world, SubmitDone(below.id, merged))


def _chains(merging: list[tuple[Item, BuildSet]], alone: bool) -> list[list[tuple[Item, BuildSet]]]:
    """Put build sets that stand on one another together again, as they were asked for."""
    chains: list[list[tuple[Item, BuildSet]]] = []
    for item, build_set in merging:
        if chains and not alone and build_set.parent == chains[-1][-1][1].id:
            chains[-1].append((item, build_set))
        else:
            chains.append([(item, build_set)])
    return chains
