"""The state with its indices, and what a step has to say: commands, decisions, and whose rows changed.

Everything that the modules beside this one do to the state goes through here or is announced here, so that an index can never lie.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from torii.gate import view
from torii.gate.state import Build, BuildPhase, BuildSet, Item, ItemPhase, Queue, State, tip_key
from torii.model.build import Result
from torii.model.change import Change, Subject
from torii.model.command import Command, DropStaging, StageBase, StopBuild
from torii.model.ids import BuildId, BuildSetId, ChangeId, ItemId, PipelineName, ProjectName, QueueName, Sha
from torii.model.pipeline import Manager, MergeMode, PipelineSpec, ProjectSpec
from torii.model.view import Decision, Records

SEEN_LIMIT = 20_000


class World:
    """Working memory of the gate: `state` is what lasts, the rest is derived from it or belongs to the current step."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.commands: list[Command] = []
        self._decisions: list[Decision] = []
        self._touched_items: dict[ItemId, Item] = {}
        self._touched_builds: dict[BuildId, tuple[BuildSet, Build]] = {}
        self.configure()
        self.items_of: dict[ChangeId, dict[ItemId, None]] = {}
        self.sets: dict[BuildSetId, BuildSet] = {}
        self.builds: dict[BuildId, tuple[BuildSet, Build]] = {}
        self.dependants: dict[ChangeId, dict[ChangeId, None]] = {}
        self.departed: dict[ChangeId, str] = {}
        """Who left in this step, and why: the reason that those behind are given."""
        self._due: list[tuple[float, str]] = sorted((due, name) for name, due in state.timers.items())
        for item in state.items.values():
            self.items_of.setdefault(item.subject.id, {})[item.id] = None
            for build_set in item.build_sets:
                self.sets[build_set.id] = build_set
                for build in build_set.builds:
                    self.builds[build.id] = (build_set, build)
        for change in state.changes.values():
            self._index_dependencies(change)

    # -- configuration

    def configure(self) -> None:
        """Take `state.config` into use."""
        self.pipelines: dict[PipelineName, PipelineSpec] = {spec.name: spec for spec in self.state.config.pipelines}
        self.projects: dict[ProjectName, ProjectSpec] = {spec.name: spec for spec in self.state.config.projects}

    def takes_part(self, project: ProjectName, pipeline: PipelineName) -> bool:
        spec = self.projects.get(project)
        return spec is not None and (not spec.pipelines or pipeline in spec.pipelines)

    def spec_of(self, item: Item) -> PipelineSpec:
        return self.pipelines[item.pipeline]

    def mode_of(self, change: Change) -> MergeMode:
        """Return how `change` becomes part of its branch: its source knows, or its project's configuration says."""
        project = self.projects.get(change.project)
        return change.merge or (project.merge_mode if project else MergeMode.MERGE_IF_NECESSARY)

    # -- what is said

    def decide(self, item: Item, text: str) -> None:
        """Record a decision about `item`; it also becomes the reason why the item is where it is."""
        if item.reason == text:
            return
        item.reason = text
        self._decisions.append(Decision(self.state.now, item.subject.id, item.pipeline, item.id, text))
        self.touch(item)

    def note(self, change: ChangeId, pipeline: PipelineName | None, text: str) -> None:
        """Record a decision of which no item came."""
        self._decisions.append(Decision(self.state.now, change, pipeline, None, text))

    def touch(self, item: Item) -> None:
        self._touched_items[item.id] = item

    def touch_build(self, build_set: BuildSet, build: Build) -> None:
        self._touched_builds[build.id] = (build_set, build)

    def drain(self) -> Records:
        """Return rows for all that changed since the last call."""
        records = Records(
            tuple(view.item(item) for item in self._touched_items.values()),
            tuple(view.build(build_set, build) for build_set, build in self._touched_builds.values()),
            tuple(self._decisions),
        )
        self._touched_items, self._touched_builds, self._decisions = {}, {}, []
        return records

    # -- events seen before

    def first_sight(self, key: str) -> bool:
        """Return whether `key` is new, and remember it."""
        if key in self.state.seen:
            return False
        self.state.seen[key] = None
        if len(self.state.seen) > 2 * SEEN_LIMIT:  # forgotten in bulk: one at a time would cost the whole dict each time
            self.state.seen = dict.fromkeys(list(self.state.seen)[-SEEN_LIMIT:])
        return True

    # -- changes

    def learn(self, change: Change) -> None:
        self.forget(change.id)
        self.state.changes[change.id] = change
        self._index_dependencies(change)

    def forget(self, change: ChangeId) -> None:
        known = self.state.changes.pop(change, None)
        for dependency in known.depends_on if known else ():
            self.dependants.get(dependency, {}).pop(change, None)

    def close(self, change: ChangeId) -> None:
        """Forget all of a change that is no longer open."""
        self.forget(change)
        self.state.kept.pop(change, None)

    def _index_dependencies(self, change: Change) -> None:
        for dependency in change.depends_on:
            self.dependants.setdefault(dependency, {})[change.id] = None

    # -- branch tips

    def tip(self, project: ProjectName, branch: str) -> Sha | None:
        known = self.state.tips.get(tip_key(project, branch))
        return known.commit if known else None

    def on_tip(self, project: ProjectName, branch: str, commit: Sha) -> bool:
        """Return whether what was built on `commit` was built on the branch as it is; also where nothing is known of the branch."""
        known = self.state.tips.get(tip_key(project, branch))
        return known is None or known.stands_for(commit)

    def holds(self, pipeline: PipelineName, base: StageBase) -> bool:
        """Return whether a branch may still be started from `base`: what made it is ahead in the pipeline, or is the branch now."""
        made_by_one_ahead = bool(base.changes) and self.live_item(base.changes[-1], pipeline) is not None
        return made_by_one_ahead or self.on_tip(base.project, base.branch, base.commit)

    def landed(self, base: StageBase) -> StageBase:
        """Return what to start from instead of `base` where that has landed as another commit: nothing keeps the tested one any more."""
        known = self.state.tips.get(tip_key(base.project, base.branch))
        if known is None or base.commit not in known.twins:
            return base
        return StageBase(base.project, base.branch, known.commit, known.commit)

    # -- queues and items

    def queue_of(self, item: Item) -> Queue:
        return self.state.queues[f"{item.pipeline} {item.queue}"]

    def queue(self, spec: PipelineSpec, name: QueueName) -> Queue:
        """Return the queue `name` of a pipeline, made on first use."""
        key = f"{spec.name} {name}"
        if key not in self.state.queues:
            window = spec.window.initial if spec.manager is Manager.DEPENDENT else 1
            self.state.queues[key] = Queue(name, spec.name, window)
        return self.state.queues[key]

    def walk(self, queue: Queue) -> Iterator[Item]:
        """Yield the items of `queue`, head first. The one just yielded may leave."""
        item = self.state.items.get(queue.head) if queue.head else None
        while item is not None:
            behind = item.behind
            yield item
            item = self.state.items.get(behind) if behind else None

    def tested_behind(self, item: Item) -> Iterator[Item]:
        """Yield the items that follow `item` in its queue, as far as any of them may have a build set."""
        reach = self.queue_of(item).reach
        for other in self.behind(item):
            if other.ticket > reach:
                return
            yield other

    def behind(self, item: Item) -> Iterator[Item]:
        """Yield the items that follow `item` in its queue."""
        following = item.behind
        while following is not None:
            other = self.state.items[following]
            following = other.behind
            yield other

    def unit(self, item: Item) -> list[Item]:
        """Return what merges together with `item` and is still there, itself among it, in merge order."""
        return [self.state.items[number] for number in item.together if number in self.state.items] or [item]

    def live_item(self, change: ChangeId, pipeline: PipelineName) -> Item | None:
        """Return the item of `change` in `pipeline`, or None."""
        items = (self.state.items[number] for number in self.items_of.get(change, ()))
        return next((item for item in items if item.pipeline == pipeline), None)

    def join(self, queue: Queue, subject: Subject) -> Item:
        """Put `subject` at the tail of `queue`."""
        self.state.last_number += 1
        number = self.state.last_number
        item = Item(ItemId(f"{self.state.config.instance}-{number}"), queue.pipeline, queue.name, subject, number, self.state.now)
        item.ahead = queue.tail
        if queue.tail is not None:
            self.state.items[queue.tail].behind = item.id
        else:
            queue.head = item.id
        queue.tail = item.id
        queue.length += 1
        self.state.items[item.id] = item
        self.items_of.setdefault(subject.id, {})[item.id] = None
        self.touch(item)
        return item

    def leave(self, item: Item, outcome: str, reason: str) -> None:
        """Take `item` out of its queue; what of its builds still runs is stopped."""
        queue = self.queue_of(item)
        if item.ahead is not None:
            self.state.items[item.ahead].behind = item.behind
        else:
            queue.head = item.behind
        if item.behind is not None:
            self.state.items[item.behind].ahead = item.ahead
        else:
            queue.tail = item.ahead
        queue.length -= 1
        if not queue.length:
            del self.state.queues[f"{item.pipeline} {item.queue}"]
        self.items_of[item.subject.id].pop(item.id)
        if not self.items_of[item.subject.id]:
            del self.items_of[item.subject.id]
        for build_set in item.build_sets:
            self._discard(build_set, reason)
        self.departed[item.subject.id] = reason
        item.outcome, item.left_at, item.phase = outcome, self.state.now, ItemPhase.LEFT
        self.decide(item, reason)
        self.touch(item)
        del self.state.items[item.id]

    # -- build sets and builds

    def new_set(self, item: Item, parent: BuildSet | None) -> BuildSet:
        item.last_set += 1
        build_set = BuildSet(BuildSetId(f"{item.id}.{item.last_set}"), item.id, parent.id if parent else None)
        item.build_sets.append(build_set)
        queue = self.queue_of(item)
        queue.reach = max(queue.reach, item.ticket)
        self.sets[build_set.id] = build_set
        self.touch(item)
        return build_set

    def drop_set(self, item: Item, build_set: BuildSet, reason: str) -> None:
        """Forget `build_set`: it can no longer come true, or nobody wants it."""
        item.build_sets.remove(build_set)
        self._discard(build_set, reason)
        self.touch(item)

    def _discard(self, build_set: BuildSet, reason: str) -> None:
        self.sets.pop(build_set.id, None)
        self.cancel_reminder(f"merge {build_set.id}")
        for build in build_set.builds:
            self.builds.pop(build.id, None)
            self.end_build(build_set, build, Result.CANCELED, reason)
        refs = tuple((staged.project, staged.ref) for staged in build_set.staged)
        if refs:
            self.commands.append(DropStaging(refs))

    def end_build(self, build_set: BuildSet, build: Build, result: Result, detail: str) -> None:
        """End `build` by the gate's own decision, unless it is over; if somebody runs it, that is stopped."""
        if build.phase is BuildPhase.DONE:
            return
        if build.phase is not BuildPhase.WAITING:
            self.commands.append(StopBuild(build.id, detail))
            self.state.stopping[build.id] = detail
        self.finish_build(build_set, build, result, detail)

    def finish_build(self, build_set: BuildSet, build: Build, result: Result, detail: str) -> None:
        """Note that `build` is over."""
        build.phase, build.result, build.detail, build.stalled = BuildPhase.DONE, result, detail, ""
        build.ended_at = self.state.now
        self.cancel_reminder(f"stall {build.id}")
        self.cancel_reminder(f"overrun {build.id}")
        self.touch_build(build_set, build)

    def set_builds(self, build_set: BuildSet, builds: list[Build]) -> None:
        """Give `build_set` these builds, one a job: a job's later attempt takes the place of the lost one."""
        for build in build_set.builds:
            self.builds.pop(build.id, None)
        build_set.builds = builds
        for build in builds:
            self.builds[build.id] = (build_set, build)
            self.touch_build(build_set, build)

    # -- time

    def set_clock(self, now: float) -> None:
        """It is `now`. Where that is earlier than it was, every timer is moved by as much: it keeps the time it had left."""
        jump = now - self.state.now
        self.state.now = now
        if jump < 0:
            self.state.timers = {name: due + jump for name, due in self.state.timers.items()}
            self._due = sorted((due, name) for name, due in self.state.timers.items())

    def remind(self, name: str, delay: float) -> None:
        """Have the timer `name` fall due `delay` seconds from now; an older one of that name is replaced."""
        due = self.state.now + delay
        self.state.timers[name] = due
        heapq.heappush(self._due, (due, name))

    def cancel_reminder(self, name: str) -> None:
        self.state.timers.pop(name, None)

    def due(self) -> Iterator[str]:
        """Yield and forget the timers that have fallen due, oldest first."""
        while self._due and self._due[0][0] <= self.state.now:
            due, name = heapq.heappop(self._due)
            if self.state.timers.get(name) == due:
                del self.state.timers[name]
                yield name
