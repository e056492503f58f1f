"""The Jenkins itself: what changes jobs, queue, builds and nodes. All under one lock; whoever is told of something is told under it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from torii.testing.jenkins.jobconfig import BadXmlError, read_config, stored, with_disabled
from torii.testing.jenkins.state import BUILT_IN, Build, Cause, FakeNode, Item, Job, Node, Waiter

_REMEMBERED = 2000
"""Items that left the queue and can still be asked for (a real Jenkins forgets them after five minutes)."""
_UNSAFE = frozenset("?*/\\%!@#$^&|<>[]:;")


class BadNameError(Exception):
    """Jenkins refuses a name, with 400 and this in X-Error."""


class Core:
    """`run` starts a build's work, `changed` and `freed` tell the Gearman plug-in; all are called under `lock` and must not wait."""

    def __init__(self, nodes: Sequence[FakeNode], clock: Callable[[], float] = time.time) -> None:
        self.lock = threading.RLock()
        self.moved = threading.Condition(self.lock)
        self.clock = clock
        self.jobs: dict[str, Job] = {}
        self.queue: OrderedDict[int, Item] = OrderedDict()
        self.left: OrderedDict[int, Item] = OrderedDict()
        self.nodes = [_node(spec) for spec in nodes]
        self.quiet_period = 0.0
        self.quieting = False
        self.quiet_reason: str | None = None
        self.next_item = 1
        self.alive = True
        self._maintaining = False
        self.run: Callable[[Build], None] = lambda _: None
        self.interrupt: Callable[[Build, str], None] = lambda *_: None
        self.changed: Callable[[], None] = lambda: None
        self.freed: Callable[[Node], None] = lambda _: None

    # -- jobs

    def create(self, name: str, xml: bytes) -> Job:
        """Make the job `name`. Raises `BadXmlError`, `BadNameError`."""
        config = read_config(xml)
        check_name(name.rpartition("/")[2])
        if self._taken(name):
            raise BadNameError(f"A job already exists with the name {quoted(name.rpartition('/')[2])}")
        job = self.jobs[name] = Job(name, stored(xml), config)
        self._told()
        return job

    def save(self, job: Job, xml: bytes) -> None:
        """Give `job` another config.xml. Raises `BadXmlError`."""
        config = read_config(xml)
        if config.kind != job.config.kind:
            raise BadXmlError(f"Expecting class {job.config.kind} but got class {config.kind} instead")
        job.xml, job.config, job.held_off = stored(xml), config, False
        if config.disabled:
            self._cancel_all(job)
        self._told()

    def copy(self, job: Job, name: str) -> Job:
        """Make a copy of `job`, which cannot be built until it is saved."""
        check_name(name.rpartition("/")[2])
        if self._taken(name):
            raise BadNameError(f"A job already exists with the name {quoted(name.rpartition('/')[2])}")
        made = self.jobs[name] = Job(name, job.xml, job.config, held_off=True)
        self._told()
        return made

    def rename(self, job: Job, short: str) -> None:
        """Call `job` (and what is in it) `short`. Raises `BadNameError` where that cannot be."""
        check_name(short)
        name = f"{job.parent}/{short}" if job.parent else short
        if name == job.name:
            raise BadNameError("The new name is the same as the current name.")
        if self._taken(name):
            raise BadNameError(f"The name  {short}  is already in use.")
        if job.running:
            raise BadNameError("Unable to rename a job while it is building.")
        before = job.name
        for each in [each for each in self.jobs.values() if each is job or each.name.startswith(f"{before}/")]:
            del self.jobs[each.name]
            each.name = name + each.name[len(before) :]
            self.jobs[each.name] = each
        self._told()

    def delete(self, job: Job) -> None:
        """Delete `job` with all that is in it. What runs of it is aborted; the Gearman plug-in is told when that has ended, not before."""
        for each in [each for each in self.jobs.values() if each is job or each.name.startswith(f"{job.name}/")]:
            self._cancel_all(each)
            del self.jobs[each.name]
            each.gone = True
            for build in list(each.running):
                self.interrupt(build, "SYSTEM")
        if not job.running:
            self._told()

    def disable(self, job: Job, disabled: bool) -> None:
        """Disable `job`, or enable it."""
        job.xml = with_disabled(job.xml, disabled)
        job.config = replace(job.config, disabled=disabled)
        if disabled:
            self._cancel_all(job)
        self._told()

    def job(self, name: str) -> Job | None:
        """Return the job `name`; Jenkins makes no difference between capitals and small letters where it finds no other."""
        return self.jobs.get(name) or next((job for job in self.jobs.values() if job.name.lower() == name.lower()), None)

    def children(self, folder: str) -> list[Job]:
        """Return the jobs and folders right inside `folder`, sorted as Jenkins does."""
        return sorted((job for job in self.jobs.values() if job.parent == folder), key=lambda job: job.short.lower())

    def _taken(self, name: str) -> bool:
        return any(name.lower() == other.lower() for other in self.jobs)

    def _told(self) -> None:
        self.changed()
        self.maintain()

    # -- the queue

    def ask(
        self,
        job: Job,
        parameters: Mapping[str, str],
        cause: Cause,
        *,
        delay: float | None = None,
        node: Node | None = None,
        waiter: Waiter | None = None,
        stuck: bool = False,
    ) -> tuple[Item, bool]:
        """Put a build of `job` in the queue, or join the item with equal parameters there; return the item and whether it is new."""
        now = self.clock()
        for item in self.queue.values():
            if item.job is job and item.parameters == dict(parameters) and not item.stuck_forever:
                item.causes.append(cause)
                item.waiters += [waiter] if waiter else []
                return item, False
        quiet = delay if delay is not None else job.config.quiet if job.config.quiet is not None else self.quiet_period
        item = Item(self.next_item, job, dict(parameters), [cause], now, now + quiet, node, plugin=waiter is not None)
        item.waiters = [waiter] if waiter else []
        item.stuck_forever = stuck
        self.next_item += 1
        self.queue[item.id] = item
        if node is not None:
            node.locked_for = item
        if quiet > 0:
            timer = threading.Timer(quiet, self._wake)
            timer.daemon = True
            timer.start()
        self.maintain()
        return item, True

    def cancel(self, item: Item) -> None:
        """Take `item` out of the queue."""
        item.cancelled = True
        self._leave(item)
        for waiter in item.waiters:
            waiter.cancelled()
        self.maintain()

    def why(self, item: Item) -> tuple[str, str]:
        """Return Jenkins' class for the state that `item` is in (`WaitingItem`, ...), and what it waits for in Jenkins' words."""
        now = self.clock()
        if item.due > now:
            return "WaitingItem", f"In the quiet period. Expires in {item.due - now:.1f} sec"
        running = max(item.job.running, key=lambda build: build.number, default=None)
        if running is not None and not item.job.config.concurrent:
            eta = running.estimate - (now - running.started)
            return "BlockedItem", f"Build #{running.number} is already in progress (ETA: {f'{eta:.1f} sec' if eta > 0 else 'N/A'})"
        return "BuildableItem", self._nodes_why(item)

    def _nodes_why(self, item: Item) -> str:
        if self.quieting:
            return "Jenkins is about to shut down"
        label = item.node.name if item.node is not None else item.job.config.label
        fitting = [node for node in self.nodes if node.spec.executors and _fits(node, item)]
        if not fitting:
            return f"There are no nodes with the label {quoted(label)}" if label else "Waiting for next available executor"
        if not any(node.up for node in fitting):
            names = [node.display for node in fitting]
            return f"{quoted(names[0])} is offline" if len(names) == 1 else f"All nodes of label {quoted(label)} are offline"
        if label:
            return f"Waiting for next available executor on {quoted(fitting[0].display if len(fitting) == 1 else label)}"
        return "Waiting for next available executor"

    def maintain(self) -> None:
        """Start what can be started."""
        if self._maintaining:
            return  # another look follows whatever was started
        self._maintaining = True
        try:
            while self.alive and sum(self._try(item) for item in list(self.queue.values())):
                pass  # what started may have opened a lock
        finally:
            self._maintaining = False
        self.moved.notify_all()

    def _try(self, item: Item) -> bool:
        if item.id not in self.queue or item.due > self.clock() or (item.job.running and not item.job.config.concurrent):
            return False
        item.buildable_since = item.buildable_since or self.clock()
        node = None if item.stuck_forever or self.quieting else self._place(item)
        if node is not None:
            self._start(item, node)
        return node is not None

    def _place(self, item: Item) -> Node | None:
        for node in self.nodes:
            if _fits(node, item) and node.up and node.free() is not None and (node.lock is None or node.locked_for is item):
                return node
        return None

    def _start(self, item: Item, node: Node) -> None:
        job, executor = item.job, node.free()
        assert executor is not None
        declared = {parameter.name for parameter in job.config.parameters}
        number = job.next_number
        job.next_number += 1
        build = Build(
            job,
            number,
            item.id,
            {name: value for name, value in item.parameters.items() if name in declared},
            tuple(item.causes),
            node,
            executor,
            self.clock(),
            item.plugin,
            _estimate(job),
        )
        build.display = f"#{number}"
        build.waiters = item.waiters
        item.build = build
        job.builds[number] = build
        job.running.append(build)
        node.running[executor] = build
        self._leave(item)
        for waiter in build.waiters:
            waiter.started(build)
        self.run(build)

    def _leave(self, item: Item) -> None:
        item.left_at = self.clock()
        self.queue.pop(item.id, None)
        self.left[item.id] = item
        while len(self.left) > _REMEMBERED:
            self.left.popitem(last=False)

    def _cancel_all(self, job: Job) -> None:
        for item in [item for item in self.queue.values() if item.job is job]:
            self.cancel(item)

    def _wake(self) -> None:
        with self.lock:
            self.maintain()

    # -- builds

    def finish(self, build: Build, result: str) -> None:
        """End `build`; nothing happens where it has ended."""
        with self.lock:
            if not build.building:
                return
            build.duration = self.clock() - build.started
            build.say(f"Finished: {result}")
            build.result = result
            build.held = False
            build.node.running.pop(build.executor, None)
            build.job.running.remove(build)
            build.over.set()
            for waiter in build.waiters:
                waiter.ended(build)
            if build.job.gone:
                self.changed()
            self.freed(build.node)
            self.maintain()

    def forget(self, build: Build) -> None:
        """Delete `build`."""
        build.job.builds.pop(build.number, None)
        self.moved.notify_all()

    # -- nodes

    def node(self, name: str) -> Node | None:
        """Return the node called `name`, as Jenkins' paths call it."""
        own = {BUILT_IN, "(built-in)", "(master)"}
        return next((node for node in self.nodes if node.name == name or (node.name in own and name in own)), None)

    def add_node(self, spec: FakeNode) -> None:
        """Have another node, which is not connected yet."""
        node = _node(spec)
        node.offline = True
        self.nodes.append(node)

    def toggle(self, node: Node, offline: bool, reason: str = "") -> None:
        """Take `node` offline for a while, or bring it back."""
        node.temporarily, node.reason = offline, reason
        self.freed(node)
        self._told()


def quoted(text: str | None) -> str:
    """Return `text` in the quotes that Jenkins uses."""
    return f"\u2018{text}\u2019"


def check_name(name: str) -> None:
    """Raise `BadNameError` for a name that Jenkins refuses."""
    if not name.strip():
        raise BadNameError("No name is specified")
    if name in (".", ".."):
        raise BadNameError(f"{quoted(name)} is not an allowed name")
    if name.endswith("."):
        raise BadNameError(f"A name cannot end with {quoted('.')}")
    for letter in name:
        if letter in _UNSAFE or ord(letter) < 32:
            raise BadNameError(f"{quoted(letter)} is an unsafe character")


def _node(spec: FakeNode) -> Node:
    own = spec.name or "master"
    return Node(spec, frozenset({own, *spec.labels}))


def _fits(node: Node, item: Item) -> bool:
    return item.node is node if item.node is not None else node.takes(item.job.config.label)


def _estimate(job: Job) -> float:
    """Return how many seconds a build may take: what the last three that went well took; -1 where there is none."""
    done = [build.duration for build in job.newest() if build.result in ("SUCCESS", "UNSTABLE")][:3]
    return sum(done) / len(done) if done else -1.0
