"""The builds that a worker runs now, and those it ran lately, found by their id or by name and number."""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from dataclasses import dataclass, field

from torii.model.ids import BuildId
from torii.results.record import BuildRecord
from torii.worker.execution import StopRequest

_REMEMBERED = 2000


@dataclass(slots=True)
class Running:
    """One build under way. `record` is there once `over` is set, unless the worker itself failed."""

    build: BuildId
    name: str
    number: int
    log_url: str
    stop: StopRequest = field(default_factory=StopRequest)
    over: threading.Event = field(default_factory=threading.Event)
    record: BuildRecord | None = None


class Builds:
    """Thread-safe. A build id runs at most once at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[BuildId, Running] = {}
        self._ended: OrderedDict[tuple[str, int], BuildId] = OrderedDict()
        self._numbers: Counter[str] = Counter()
        self._closing = ""

    def begin(self, build: BuildId, name: str, log_url: str) -> tuple[Running, bool]:
        """Return the running build of that id and whether it is new, so that the caller has to run it and then to call `end`."""
        with self._lock:
            if known := self._running.get(build):
                return known, False
            self._numbers[name] += 1
            begun = self._running[build] = Running(build, name, self._numbers[name], log_url)
            if self._closing:
                begun.stop.ask(self._closing, shutdown=True)
            return begun, True

    def end(self, running: Running, record: BuildRecord | None) -> None:
        """Say that `running` is over, to whoever waits for it."""
        with self._lock:
            self._running.pop(running.build, None)
            self._ended[running.name, running.number] = running.build
            while len(self._ended) > _REMEMBERED:
                self._ended.popitem(last=False)
        running.record = record
        running.stop.close()
        running.over.set()

    def find(self, build: str, name: str, number: str) -> Running | None:
        """Return the running build with the id `build`, or where that is empty with `name` and `number`."""
        with self._lock:
            if build:
                return self._running.get(BuildId(build))
            return next((each for each in self._running.values() if (each.name, str(each.number)) == (name, number)), None)

    def ended(self, build: str, name: str, number: str) -> BuildId | None:
        """Return the id of such a build that ended lately."""
        with self._lock:
            return next((b for (n, i), b in self._ended.items() if (b == build if build else (n, str(i)) == (name, number))), None)

    def close(self, reason: str) -> None:
        """Stop all that run, and whatever still begins."""
        with self._lock:
            self._closing = reason
            running = list(self._running.values())
        for each in running:
            each.stop.ask(reason, shutdown=True)

    def __len__(self) -> int:
        with self._lock:
            return len(self._running)
