"""Keep a queue's speculative states as its strategy wants them: stage what is missing, drop what can no longer come true.

Level-triggered: `advance` looks at the window of the queue as it is and does whatever is due; calling it once too often changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from torii.gate import words
from torii.gate.conclusion import conclude, merge
from torii.gate.following import follow
from torii.gate.state import BuildSet, Item, ItemPhase, Queue, SetPhase
from torii.gate.strategy import STRATEGIES, Linear
from torii.gate.world import World
from torii.model.change import BranchState, Change
from torii.model.command import Merge, Stage, StageBase, StageChange
from torii.model.ids import ChangeId, ItemId
from torii.model.pipeline import Manager

CHAIN = 20
"""How many states are asked of a merger in one request: the first of them waits for the last."""


@dataclass(frozen=True, slots=True)
class State:
    """A node of the tree: a build set, the root, or (without either) one that cannot be made now."""

    build_set: BuildSet | None
    root: bool = False
    failed: bool = False

    @property
    def blocked(self) -> bool:
        return self.build_set is None and not self.root


class Tree:
    """The states that a strategy asks for, found among those there are or planned anew. `room` is how many items may get new ones."""

    def __init__(self, world: World, room: frozenset[ItemId]) -> None:
        self.root = State(None, root=True)
        self.wanted: dict[str, BuildSet] = {}
        self._world = world
        self._room = room

    def on(self, item: Item, node: State) -> State:
        """Return the state of `item` on top of `node`."""
        if item.chosen is not None and (chosen := item.build_set(item.chosen)) is not None:
            return self._want(chosen)  # being merged: settled, whatever moves meanwhile
        if node.blocked:
            return node
        if self._lacks(item, node):
            return State(None, failed=True)
        for build_set in item.build_sets:
            if self.stands(item, build_set, node):
                return self._want(build_set)
        if item.id not in self._room:
            return State(None)
        build_set = self._world.new_set(item, node.build_set)
        ahead = node.build_set.changes if node.build_set else ()
        build_set.changes = (*ahead, (item.subject.id, item.subject.patchset))
        return self._want(build_set)

    def _want(self, build_set: BuildSet) -> State:
        self.wanted[build_set.id] = build_set
        return State(build_set, failed=build_set.failed)

    def _lacks(self, item: Item, node: State) -> bool:
        """Whether a change that `item` must not merge without is in the queue but not in `node`."""
        if isinstance(item.subject, BranchState) or not item.subject.depends_on:
            return False
        there = {change for change, _ in node.build_set.changes} if node.build_set else set()
        return any(change not in there for change in item.subject.depends_on if change in self._world.state.changes)

    def stands(self, item: Item, build_set: BuildSet, node: State) -> bool:
        """Whether `build_set` is `item` on exactly `node`, and the branch still is where it was when that was staged."""
        if build_set.parent != (node.build_set.id if node.build_set else None):
            return False
        if build_set.onto is None or isinstance(item.subject, BranchState):
            return True
        subject, below = item.subject, node.build_set
        if below is not None and below.staged:
            own = below.own
            if own.branch == subject.branch and own.project == subject.project:
                return own.commit == build_set.onto
        for base in below.state if below is not None else ():
            if (base.project, base.branch) == (subject.project, subject.branch) and self._world.holds(item.pipeline, base):
                return base.commit == build_set.onto
        return self._world.on_tip(subject.project, subject.branch, build_set.onto)


def advance(world: World, queue: Queue) -> None:
    """Bring `queue` one look nearer to empty."""
    if world.pipelines[queue.pipeline].manager is Manager.INDEPENDENT:
        for item in list(world.walk(queue)):
            advance_alone(world, item)
        return
    key = f"{queue.pipeline} {queue.name}"
    while world.state.queues.get(key) is queue:
        # The verdict comes first: a failure shrinks the window before anything is tested again.
        head = world.state.items[queue.head] if queue.head else None
        if head is not None and head.phase is ItemPhase.QUEUED and _conclude_head(world, head):
            continue
        if world.pipelines[queue.pipeline].manager is Manager.DEPENDENT:
            follow(world, queue)
        _speculate(world, queue)
        return


def _speculate(world: World, queue: Queue) -> None:
    spec = world.pipelines[queue.pipeline]
    line: list[Item] = []
    first = world.unit(world.state.items[queue.head]) if queue.head else []
    room = [item.id for item in first]  # they merge together: the window cannot part them
    for item in world.walk(queue):
        if len(line) < queue.window or len(line) < len(first):
            room.append(item.id)
        elif item.ticket > queue.reach:
            break
        line.append(item)
    tree = Tree(world, frozenset(room))
    before = {item.id: list(item.build_sets) for item in line}
    STRATEGIES[spec.strategy].plan(line, tree)
    if len(first) > 1:
        Linear().plan(first, tree)  # whatever the strategy thinks of it: nothing merges before all of them have passed
    for item in line:
        for build_set in before[item.id]:
            if build_set.id not in tree.wanted and build_set.id != item.chosen:  # what is being merged is settled
                world.drop_set(item, build_set, _why_dropped(world, item, build_set))
    _stage_planned(world, [(item, build_set) for item in line for build_set in item.build_sets])


def _why_dropped(world: World, item: Item, old: BuildSet) -> str:
    """Say, to the item and to whoever runs its builds, why `old` cannot come true."""
    now = item.build_sets[-1] if item.build_sets[-1] is not old else None
    still = {change for change, _ in now.changes} if now else set()
    for change, _ in old.changes[:-1]:
        if change in still or (change not in world.departed and world.live_item(change, item.pipeline) is None):
            continue
        left = world.departed.get(change)
        reason = f"{change} left: {left}" if left else _trouble(world, change, item)
        break
    else:
        reason = f"{item.subject.branch} moved past the gate to {words.short(world.tip(item.subject.project, item.subject.branch))}"
    world.decide(
        item,
        f"tested again {words.ground(now, item.subject.branch)}, because {reason}"
        if now
        else f"waits to be tested again, because {reason}",
    )
    return reason


def _trouble(world: World, change: ChangeId, item: Item) -> str:
    other = world.live_item(change, item.pipeline)
    failed = next((build_set for build_set in other.build_sets if build_set.failed), None) if other else None
    return f"{change} is failing: {words.failure(failed)}" if failed else f"{change} is tested again itself"


def _conclude_head(world: World, head: Item) -> bool:
    """Decide about the item that has nothing ahead of it, and what merges together with it. Returns whether the queue changed."""
    tree = Tree(world, frozenset())
    node = tree.root
    passed: list[tuple[Item, BuildSet]] = []
    for item in world.unit(head):
        standing = [build_set for build_set in item.build_sets if tree.stands(item, build_set, node)]
        chosen = next((build_set for build_set in standing if build_set.passed), None)
        if item.phase is ItemPhase.QUEUED and chosen is None and standing and all(build_set.complete for build_set in standing):
            return conclude(world, item, standing[0])
        if item.phase is not ItemPhase.QUEUED or chosen is None:
            for one, _ in passed:
                world.decide(one, f"passed; waits for {item.subject.id}, which merges together with it")
            return False
        passed.append((item, chosen))
        node = State(chosen)
    if len(passed) == 1:
        return conclude(world, *passed[0])
    merge(world, passed)
    return False


# -- asking for merges


def _stage_planned(world: World, line: list[tuple[Item, BuildSet]]) -> None:
    """Ask for every planned state whose parent is staged, and with it for those that follow from it."""
    chain: list[tuple[Item, BuildSet]] = []
    for item, build_set in line:
        if build_set.phase is not SetPhase.PLANNED or f"merge {build_set.id}" in world.state.timers:
            continue
        if chain and build_set.parent == chain[-1][1].id and len(chain) < CHAIN:
            chain.append((item, build_set))
            continue
        parent = world.sets.get(build_set.parent) if build_set.parent else None
        if build_set.parent is None or (parent is not None and parent.staged):
            ask_merge(world, chain)
            chain = [(item, build_set)]
    ask_merge(world, chain)


def ask_merge(world: World, chain: list[tuple[Item, BuildSet]]) -> None:
    """Ask for the states of `chain`, each on the one before; the first on its staged parent or the branch tip."""
    if not chain:
        return
    world.commands.append(merge_of(world, chain))
    for one, build_set in chain:
        build_set.phase = SetPhase.MERGING
        build_set.asked_at = world.tip(one.subject.project, one.subject.branch)
        if build_set.merge_attempts == 0:
            ground = words.ground(build_set, one.subject.branch)
            world.decide(one, f"being merged for testing {ground}" if isinstance(one.subject, Change) else "being prepared")


def merge_of(world: World, chain: list[tuple[Item, BuildSet]]) -> Merge:
    """Return the command that asks for `chain`, which must not be empty."""
    first = chain[0][1]
    parent = world.sets.get(first.parent) if first.parent else None
    item = chain[0][0]
    base = tuple(world.landed(one) for one in parent.state if world.holds(item.pipeline, one)) if parent else ()
    if isinstance(item.subject, BranchState):
        subject = item.subject
        base = (StageBase(subject.project, subject.branch, subject.commit, subject.commit),)
    stages = tuple(_stage(world, one, build_set) for one, build_set in chain)
    spec = world.spec_of(item)
    return Merge(spec.name, base, stages, spec.precedence)


def _stage(world: World, item: Item, build_set: BuildSet) -> Stage:
    subject = item.subject
    since = subject.old if isinstance(subject, BranchState) else None
    return Stage(build_set.id, subject.project, subject.branch, _changes(world, item), since)


def _changes(world: World, item: Item) -> tuple[StageChange, ...]:
    """Return what is merged for `item`: itself, and before it, where nothing ahead brings them, the open changes it depends on."""
    subject = item.subject
    if isinstance(subject, BranchState):
        return ()
    alone = world.spec_of(item).manager is Manager.INDEPENDENT
    needed = [world.state.changes[change] for change in subject.depends_on if alone and change in world.state.changes]
    return tuple(
        StageChange(one.id, one.project, one.branch, one.ref, one.commit, world.mode_of(one))
        for one in (*needed, subject)
        if one.project in world.projects
    )


# -- items that stand alone


def advance_alone(world: World, item: Item) -> None:
    """Bring an item of an independent pipeline on: one state on the branch tip, then its verdict."""
    if not item.build_sets:
        build_set = world.new_set(item, None)
        needed = item.subject.depends_on if isinstance(item.subject, Change) else ()
        known = [world.state.changes[change] for change in needed if change in world.state.changes]
        build_set.changes = tuple((one.id, one.patchset) for one in (*known, item.subject))
    build_set = item.build_sets[-1]
    if build_set.phase is SetPhase.PLANNED and f"merge {build_set.id}" not in world.state.timers:
        ask_merge(world, [(item, build_set)])
    elif build_set.complete:
        conclude(world, item, build_set)
