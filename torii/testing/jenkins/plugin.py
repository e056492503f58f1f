"""Jenkins' Gearman plug-in: a worker for each executor and one for the manager, and what they do with the jobs they are given.

Everything runs under Jenkins' lock, on the plug-in's one thread or on whichever thread ended a build.
"""

from __future__ import annotations

import json
import selectors
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import structlog
from gear import constants

from torii.testing.jenkins.core import Core
from torii.testing.jenkins.payload import PayloadError, read_payload
from torii.testing.jenkins.state import Build, Cause, Job, Node, Waiter
from torii.testing.jenkins.wire import GRABBING, SLEEPING, WAITING, WORKING, Link
from torii.worker.labels import atoms

log = structlog.get_logger()

Axes = tuple[tuple[str, tuple[str, ...]], ...]

_PAUSE = 0.1
"""Seconds between two attempts to reach a Gearman server. (A real plug-in takes about two.)"""
_OFFLINE = ("1", "true")
_NO_CELL = '"hudson.model.Run.getStartTimeInMillis()" because "currBuild" is null'
_DELETED = '"hudson.model.queue.QueueTaskFuture.getStartCondition()" because "future" is null'
OFFLINE_REASON = "Offline due to Gearman request"


@dataclass(eq=False)
class PluginWorker:
    """What is called `agent1_exec-0`. Without a node it is the manager's."""

    name: str
    node: Node | None
    links: list[Link]
    functions: frozenset[str] = frozenset()
    busy: bool = False
    stale: bool = False
    wanted: bool = True


class Words:
    """What the plug-in says in its packets; a test may put in others of its own, to see what becomes of garbage."""

    def data(self, facts: dict[str, Any]) -> list[bytes]:
        """Return the payload of each WORK_DATA at a build's start."""
        return [_json(facts)]

    def complete(self, facts: dict[str, Any]) -> list[bytes]:
        """Return the payload of each WORK_COMPLETE at its end."""
        return [_json(facts)]


class Plugin:
    """Serves `servers`. `manager` is what it takes the controller's name for, `root` the URL that Jenkins knows of itself (None: none).

    With `racy`, `node_name` and `node_labels` are wrong for every other build on an agent, as they are in a real one.
    """

    def __init__(self, core: Core, servers: Sequence[tuple[str, int]], manager: str, root: str | None, racy: bool) -> None:
        self._core, self._servers, self.manager, self._root, self._racy = core, tuple(servers), manager, root, racy
        self.words = Words()
        self.anonymous_reads: Callable[[], bool] = lambda: True
        self.stop_build: Callable[[Build], None] = lambda _: None
        self._workers: list[PluginWorker] = []
        self._offered: dict[Node, frozenset[str]] = {}
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._running = True
        self._thread = threading.Thread(target=self._loop, name="fake-jenkins-gearman", daemon=True)
        self._thread.start()

    # -- who there is

    def boot(self) -> None:
        """Make the workers and connect them. Under the lock."""
        if not self._servers:
            return
        manager = self._worker(f"{self.manager}_manager", None)
        manager.functions = frozenset({f"stop:{self.manager}", f"set_description:{self.manager}"})
        for node in self._core.nodes:
            if not node.offline:
                self.add_node(node)
        self._wake()

    def add_node(self, node: Node) -> None:
        """Make the workers of a node that has come. They see what anonymous may see."""
        functions = self._functions(node) if self.anonymous_reads() else frozenset()
        for number in range(node.spec.executors if self._servers else 0):
            self._worker(f"{node.name or self.manager}_exec-{number}", node).functions = functions
        self._wake()

    def drop_node(self, node: Node) -> None:
        """Close the connections of a node that has gone."""
        for worker in [each for each in self._workers if each.node is node]:
            self._forget(worker)
        if node.lock is not None:
            node.lock = node.locked_for = None

    def die(self) -> None:
        """Close everything, as the end of the process does."""
        for worker in list(self._workers):
            self._forget(worker)

    def stop(self) -> None:
        """End the plug-in's thread. Without the lock."""
        with self._core.lock:
            self.die()
            self._running = False
        self._wake()
        self._thread.join(5)
        self._selector.close()
        self._wake_read.close()
        self._wake_write.close()

    @property
    def connected(self) -> bool:
        """Whether every worker has a connection to every server."""
        return all(link.up for worker in self._workers for link in worker.links if not worker.busy)

    def registered(self) -> dict[str, set[str]]:
        """Return which functions each worker offers."""
        return {worker.name: set(worker.functions) for worker in self._workers}

    def _worker(self, name: str, node: Node | None) -> PluginWorker:
        worker = PluginWorker(name, node, [Link(name, address) for address in self._servers])
        self._workers.append(worker)
        return worker

    def _forget(self, worker: PluginWorker) -> None:
        worker.wanted = False
        self._workers.remove(worker)
        for link in worker.links:
            self._drop(link)

    # -- what they offer

    def changed(self) -> None:
        """Tell the servers what changed of jobs and nodes."""
        before, self._offered = self._offered, {node: self._functions(node) for node in self._core.nodes}
        for node, functions in self._offered.items():
            if functions == before.get(node):
                self._offered[node] = before[node]  # the same, so that what is compared below is quickly seen to be
        for worker in self._workers:
            if worker.node is not None:
                self._offer(worker, self._offered[worker.node])

    def _offer(self, worker: PluginWorker, functions: frozenset[str]) -> None:
        if worker.functions is functions:
            return
        if worker.busy or any(link.state == GRABBING for link in worker.links):
            worker.stale = True  # told when its build has ended; a server would take the job in hand for one that nobody has
            return
        more, less = functions - worker.functions, worker.functions - functions
        fresh, worker.functions = not functions or not worker.functions, functions
        if not more and not less:
            return
        for link in worker.links:
            if fresh:
                link.reset(sorted(functions))
            else:
                link.change(sorted(more), sorted(less))
            if link.state == SLEEPING:
                link.state = WAITING
            self._ask(worker, link)

    def _functions(self, node: Node) -> frozenset[str]:
        if not node.up:
            return frozenset()
        return frozenset(function for job in self._core.jobs.values() for function in functions_of(job, node))

    # -- asking for jobs

    def freed(self, node: Node) -> None:
        """An executor of `node` may be idle now, or its lock open."""
        for worker in self._workers:
            if worker.node is node:
                for link in worker.links:
                    self._ask(worker, link)

    def _ask(self, worker: PluginWorker, link: Link) -> None:
        """Ask for a job over `link`, if the worker is idle and its node may take one."""
        if not link.up or link.state != WAITING or worker.busy:
            return
        node = worker.node
        if node is not None:
            if node.lock is not None or not node.up or self._core.quieting or node.free() is None:
                return
            node.lock, node.locked_for = worker, None
        link.grab()

    def _open(self, worker: PluginWorker) -> None:
        """Let others of the node ask."""
        node = worker.node
        if node is not None and node.lock is worker:
            node.lock = node.locked_for = None
            self._core.maintain()
            self.freed(node)

    # -- the thread

    def _loop(self) -> None:
        while self._running:
            self._connect()
            for key, _ in self._selector.select(_PAUSE if self._down() else None):
                if key.data is None:
                    self._wake_read.recv(4096)
                    continue
                worker, link = key.data
                packets = link.read()
                with self._core.lock:
                    if link.sock is not key.fileobj:
                        continue
                    if packets is None:
                        self._lost(worker, link)
                        continue
                    for kind, data in packets:
                        self._handle(worker, link, kind, data)

    def _down(self) -> list[tuple[PluginWorker, Link]]:
        # a worker whose build runs on is stuck in it, and comes back when it has ended
        with self._core.lock:
            return [(worker, link) for worker in self._workers for link in worker.links if not link.up and not worker.busy]

    def _connect(self) -> None:
        for worker, link in self._down():
            if link.retry_at > time.monotonic():
                continue
            sock = link.connect()
            link.retry_at = time.monotonic() + _PAUSE
            with self._core.lock:
                if sock is None or not worker.wanted or worker.busy:
                    if sock is not None:
                        sock.close()
                    continue
                link.take(sock, sorted(worker.functions))
                self._selector.register(sock, selectors.EVENT_READ, (worker, link))
                self._ask(worker, link)

    def _lost(self, worker: PluginWorker, link: Link) -> None:
        if link.state == GRABBING:
            self._drop(link)
            self._open(worker)
        else:
            self._drop(link)

    def _drop(self, link: Link) -> None:
        if link.sock is not None:
            try:
                self._selector.unregister(link.sock)
            except (KeyError, ValueError):
                log.debug("fake_jenkins.unknown_connection", worker=link.name)
        link.close()
        link.state = WAITING

    def cut(self) -> None:
        """Break every connection off, as a network does."""
        for worker in self._workers:
            for link in worker.links:
                link.cut()

    def _wake(self) -> None:
        try:
            self._wake_write.send(b"x")
        except OSError:
            return  # it is stopped

    # -- jobs

    def _handle(self, worker: PluginWorker, link: Link, kind: int, data: bytes) -> None:
        match kind:
            case constants.NOOP if link.state == SLEEPING:
                link.state = WAITING
                self._ask(worker, link)
            case constants.NO_JOB:
                link.sleep()
                self._open(worker)
                self._catch_up(worker)
            case constants.JOB_ASSIGN_UNIQ:
                handle, function, unique, arguments = data.split(b"\0", 3)
                link.state, worker.busy = WORKING, True
                request = _Request(self, worker, link, handle, unique)
                if worker.node is None:
                    self._manage(request, function.decode("utf-8", "replace"), arguments)
                else:
                    self._build(request, worker.node, function.decode("utf-8", "replace"), arguments)

    def _build(self, request: _Request, node: Node, function: str, arguments: bytes) -> None:
        """Begin what `build:` asks for, with the parameters that the job declares; what it declares and nobody gave stays unset."""
        try:
            name = function.split(":")[1]
            given = read_payload(arguments)
            job = next((job for job in self._core.jobs.values() if job.short == name and not job.config.is_folder), None)
            if job is None:
                raise PayloadError(f"java.lang.NullPointerException: Cannot invoke {_NO_CELL if '=' in name else _DELETED}")
        except PayloadError as error:
            request.exception(str(error))
            return
        parameters = {key: value for key, value in given.items() if value is not None}
        request.offline = parameters.get("OFFLINE_NODE_WHEN_COMPLETE", "").lower() in _OFFLINE
        waiter = Waiter(request.started, request.cancelled, request.ended)
        self._core.ask(job, parameters, Cause(), delay=0.0, node=node, waiter=waiter, stuck=not request.unique)

    def _manage(self, request: _Request, function: str, arguments: bytes) -> None:
        """Do what `stop:` and `set_description:` ask for. WORK_FAIL says that the build is over, an exception that there is none."""
        stop = function.startswith("stop:")
        try:
            given = read_payload(arguments, nothing='"java.util.Map.get(Object)" because "data" is null')
            build = self._meant(given.get("name"), given.get("number"), "{name}: {number}" if stop else "number {number}")
        except PayloadError as error:
            request.exception(error.args[0])
            return
        text = given.get("html_description")
        if not stop:
            build.description = text
            told = f"Description for Jenkins build {build.number} was updated to {'null' if text is None else text}"
            request.finish(constants.WORK_COMPLETE, told.encode())
        elif build.building:
            self.stop_build(build)
            request.finish(constants.WORK_COMPLETE, b"")
        else:
            request.finish(constants.WORK_FAIL)

    def _meant(self, name: str | None, number: str | None, which: str) -> Build:
        """Return the build of the job with the full name `name`. Raises `PayloadError`."""
        for field_name, value in (("jobName", name), ("buildNumber", number)):
            if value is None:
                raise PayloadError(f'java.lang.NullPointerException: Cannot invoke "String.isEmpty()" because "{field_name}" is null')
        if not name or not number:
            raise PayloadError("java.lang.IllegalArgumentException: Build id is invalid or not specified")
        if not number.isdigit():
            raise PayloadError(f'java.lang.NumberFormatException: For input string: "{number}"')
        job = self._core.jobs.get(name)
        build = job.builds.get(int(number)) if job else None
        if build is None:
            raise PayloadError(f"java.lang.IllegalArgumentException: Cannot find build {which.format(name=name, number=number)}")
        return build

    def facts(self, build: Build, worker: PluginWorker) -> dict[str, Any]:
        """Return what WORK_DATA says of `build`."""
        facts: dict[str, Any] = {"name": build.job.short, "number": build.number, "manager": self.manager, "worker": worker.name}
        if not build.job.config.kind.endswith("WorkflowJob"):
            node = build.node
            wrong = self._racy and node.name and build.number % 2
            facts["node_name"] = "" if wrong else node.name
            facts["node_labels"] = ["master"] if wrong else sorted(node.labels)
        if self._root is not None:
            facts["url"] = f"{self._root}{build.path}"
        return facts

    def done(self, worker: PluginWorker, link: Link) -> None:
        """The worker is idle again."""
        worker.busy = False
        link.state = WAITING
        self._wake()
        if not worker.wanted:
            return
        self._catch_up(worker)
        for each in worker.links:
            self._ask(worker, each)

    def _catch_up(self, worker: PluginWorker) -> None:
        if worker.node is not None and worker.stale:
            worker.stale = False
            self._offer(worker, self._offered.get(worker.node, worker.functions))


class _Request:
    """A Gearman job in hand. What is said of it is lost when its connection is."""

    def __init__(self, plugin: Plugin, worker: PluginWorker, link: Link, handle: bytes, unique: bytes) -> None:
        self._plugin, self._worker, self._link, self._handle = plugin, worker, link, handle
        self._generation = link.generation
        self.unique = unique
        self.offline = False

    def started(self, build: Build) -> None:
        for data in self._plugin.words.data(self._plugin.facts(build, self._worker)):
            self._say(constants.WORK_DATA, data)
        estimate = round(build.estimate * 1000) if build.estimate >= 0 else -1
        self._say(constants.WORK_STATUS, b"1", str(estimate).encode())
        if not self.offline:
            self._plugin._open(self._worker)

    def ended(self, build: Build) -> None:
        facts = {**self._plugin.facts(build, self._worker), "result": build.result}
        node = build.node
        if self.offline and node.up:
            node.temporarily, node.reason = True, OFFLINE_REASON
            self._worker.stale = True
        first, *more = self._plugin.words.complete(facts)
        for data in (first, *more):
            self._say(constants.WORK_COMPLETE, data)
        if self.offline:
            self._plugin._open(self._worker)
            self._plugin.changed()
        self._plugin.done(self._worker, self._link)

    def cancelled(self) -> None:
        self.exception(str(PayloadError("java.util.concurrent.CancellationException")))

    def exception(self, text: str) -> None:
        self.finish(constants.WORK_EXCEPTION, text.encode())

    def finish(self, kind: int, *parts: bytes) -> None:
        self._say(kind, *parts)
        self._plugin._open(self._worker)
        self._plugin.done(self._worker, self._link)

    def _say(self, kind: int, *parts: bytes) -> None:
        if self._link.generation == self._generation:
            self._link.send(kind, self._handle, *parts)


def functions_of(job: Job, node: Node) -> frozenset[str]:
    """Return the functions that `node` offers for `job`."""
    config = job.config
    if config.disabled or config.is_folder:
        return frozenset()  # a copy that cannot be built until it is saved has them
    if config.kind.endswith("WorkflowJob"):
        return frozenset((f"build:{job.short}", f"build:{job.short}:master") if not node.name else ())
    return _named(job.short, config.label, config.axes, node) if node.takes(config.label) else frozenset()


@lru_cache(20_000)
def _named(name: str, label: str | None, axes: Axes, node: Node) -> frozenset[str]:
    cells = {f"build:{axis}={value}" for axis, values in axes[:1] for value in values}
    return frozenset({f"build:{name}", *(f"build:{name}:{atom}" for atom in atoms(label, node.labels)), *cells})


def _json(facts: dict[str, Any]) -> bytes:
    return json.dumps(facts, ensure_ascii=False, separators=(",", ":")).encode()
