"""What a Jenkins has: jobs and folders, builds, a queue, nodes with executors. Plain records; `controller` changes them under its lock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torii.testing.jenkins.jobconfig import JobConfig
from torii.testing.jenkins.log import HugeLog, Log
from torii.worker.execution import StopRequest
from torii.worker.labels import LabelError, matches

BUILT_IN = ""
"""What Jenkins calls its own node, where a build's `builtOn` and a node's name are concerned."""


@dataclass(frozen=True, slots=True)
class FakeNode:
    """A node to be had: an agent, or (with an empty name) the built-in node. `exclusive` takes only jobs whose label names it."""

    name: str
    labels: tuple[str, ...] = ()
    executors: int = 1
    exclusive: bool = False
    description: str = ""


@dataclass(eq=False, slots=True)
class Job:
    """A job or a folder. `name` is the full name (`team/app`). A copied job is `held_off` until it is saved."""

    name: str
    xml: bytes
    config: JobConfig
    builds: dict[int, Build] = field(default_factory=dict)
    running: list[Build] = field(default_factory=list)
    next_number: int = 1
    held_off: bool = False
    gone: bool = False

    @property
    def short(self) -> str:
        return self.name.rpartition("/")[2]

    @property
    def parent(self) -> str:
        return self.name.rpartition("/")[0]

    @property
    def path(self) -> str:
        """The path of its pages, such as `job/team/job/app/`."""
        return f"job/{self.name.replace('/', '/job/')}/"

    @property
    def buildable(self) -> bool:
        return not (self.config.disabled or self.held_off or self.config.is_folder)

    def newest(self) -> Iterator[Build]:
        """Yield its builds, the newest first."""
        return iter(sorted(self.builds.values(), key=lambda build: -build.number))


@dataclass(frozen=True, slots=True)
class Cause:
    """Who asked for a build. Nobody (the Gearman plug-in's builds): Jenkins calls it anonymous. With `remote`, a token did."""

    user: str = ""
    remote: bool = False


@dataclass(eq=False, slots=True)
class Waiter:
    """Somebody who waits for a queue item, and hears of its build on a thread of Jenkins', under its lock."""

    started: Callable[[Build], None]
    cancelled: Callable[[], None]
    ended: Callable[[Build], None]


@dataclass(eq=False, slots=True)
class Item:
    """An item of the queue. `due` is when its quiet period is over; times are seconds since the epoch.

    `plugin` marks what the Gearman plug-in asked for; `node` is where alone it may run then. With `stuck_forever` it never starts.
    """

    id: int
    job: Job
    parameters: dict[str, str]
    causes: list[Cause]
    since: float
    due: float
    node: Node | None = None
    plugin: bool = False
    waiters: list[Waiter] = field(default_factory=list)
    buildable_since: float | None = None
    build: Build | None = None
    cancelled: bool = False
    left_at: float | None = None
    stuck_forever: bool = False


@dataclass(eq=False, slots=True)
class Build:
    """A build. `result` is None while it runs. `plugin`: the Gearman plug-in asked for it. `held`: it waits for a test to release it."""

    job: Job
    number: int
    item: int
    parameters: Mapping[str, str]
    causes: tuple[Cause, ...]
    node: Node
    executor: int
    started: float
    plugin: bool = False
    estimate: float = -1.0
    log: Log | HugeLog = field(default_factory=Log)
    result: str | None = None
    duration: float = 0.0
    description: str | None = None
    artifacts: dict[str, Path | bytes] = field(default_factory=dict)
    tests: dict[str, object] | None = None
    display: str = ""
    keep: bool = False
    interrupted: bool = False
    ender: str = ""
    stop: StopRequest | None = None
    waiters: list[Waiter] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    held: bool = False

    @property
    def building(self) -> bool:
        return self.result is None

    @property
    def path(self) -> str:
        return f"{self.job.path}{self.number}/"

    def say(self, text: str) -> None:
        """Append a line to the log of a build that has not ended."""
        if self.result is None:
            self.log.write(f"{text}\n".encode())


@dataclass(eq=False, slots=True)
class Node:
    """A node as it is now. `running` has the build of each busy executor.

    `lock` is the worker of the Gearman plug-in that is about to start a build here: until it has, nothing but `locked_for` may start.
    """

    spec: FakeNode
    labels: frozenset[str]
    running: dict[int, Build] = field(default_factory=dict)
    offline: bool = False
    temporarily: bool = False
    reason: str = ""
    lock: object | None = None
    locked_for: Item | None = None

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def display(self) -> str:
        return self.spec.name or "Built-In Node"

    @property
    def path_name(self) -> str:
        return self.spec.name or "(built-in)"

    @property
    def up(self) -> bool:
        return not (self.offline or self.temporarily)

    def free(self) -> int | None:
        """Return the number of an executor that is idle, None where all are busy."""
        return next((number for number in range(self.spec.executors) if number not in self.running), None)

    def takes(self, label: str | None) -> bool:
        """Return whether a job with the label expression may run here, once an executor is free."""
        if label is None:
            return not self.spec.exclusive
        try:
            return matches(label, self.labels)
        except LabelError:
            return False
