"""Calls that are made when their time has come, by a few threads, and no more than so many a second."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable

import structlog

log = structlog.get_logger()

Call = Callable[[], None]


class Turns:
    """One heap of calls and `threads` threads that make them. With a `rate`, at most that many begin a second (and `rate` at once).

    Nothing is made before `start`, nor after `stop`. What raises is logged.
    """

    def __init__(self, name: str, threads: int, rate: float | None = None) -> None:
        self._name, self._count = name, threads
        self._spacing = 1 / rate if rate else 0.0
        self._free_at = 0.0
        self._due: list[tuple[float, int, Call]] = []
        self._number = itertools.count()
        self._changed = threading.Condition()
        self._watched = False
        self._open = False
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        with self._changed:
            if self._threads:
                return
            self._open = True
            for number in range(1, self._count + 1):
                thread = threading.Thread(target=self._run, name=f"{self._name}-{number}", daemon=True)
                self._threads.append(thread)
                thread.start()

    def add(self, call: Call, after: float = 0.0) -> None:
        """Have `call` made in `after` seconds, or soon after that. From any thread."""
        entry = (time.monotonic() + after, next(self._number), call)
        with self._changed:
            heapq.heappush(self._due, entry)
            if self._due[0] is entry:
                self._changed.notify()

    def stop(self, timeout: float) -> None:
        """Make no more calls; wait up to `timeout` seconds for those under way."""
        deadline = time.monotonic() + timeout
        with self._changed:
            self._open = False
            self._due.clear()
            self._changed.notify_all()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while (call := self._next()) is not None:
            try:
                call()
            except Exception:
                log.exception("results.call_failed", turns=self._name)

    def _next(self) -> Call | None:
        """Return the next call when its time has come, None when it is time to end."""
        with self._changed:
            while self._open:
                wait = self._wait()
                if wait is not None and wait <= 0:
                    self._free_at = max(self._free_at, time.monotonic() - 1.0) + self._spacing
                    call = heapq.heappop(self._due)[2]
                    self._changed.notify()  # another takes over the watch
                    return call
                # One thread watches the time; the others sleep until they are wanted.
                watching = wait is not None and not self._watched
                if watching:
                    self._watched = True
                try:
                    self._changed.wait(wait if watching else None)
                finally:
                    if watching:
                        self._watched = False
        return None

    def _wait(self) -> float | None:
        """Return for how many seconds nothing is to be done, None where nothing is due at all."""
        if not self._due:
            return None
        return max(self._due[0][0], self._free_at) - time.monotonic()
