"""A thread that does one thing after another: what is posted to it, and what is to be done later."""

from __future__ import annotations

import heapq
import itertools
import queue
import threading
import time
from collections.abc import Callable

import structlog

log = structlog.get_logger()

Call = Callable[[], None]


class Mailbox:
    """Runs what is posted on one thread of its own, in order. What raises is logged, and the next is run."""

    def __init__(self, name: str) -> None:
        self._queue: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._due: list[tuple[float, int, Call]] = []
        self._number = itertools.count()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._stopping = False

    def start(self) -> None:
        self._thread.start()

    def post(self, call: Call) -> None:
        """Have `call` run soon. From any thread; does nothing after `stop`."""
        if not self._stopping:
            self._queue.put(call)

    def later(self, seconds: float, call: Call) -> None:
        """Have `call` run after `seconds`. Only from the mailbox's own thread."""
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._number), call))

    def stop(self, timeout: float) -> None:
        """Run nothing more; waits up to `timeout` seconds for what is being run."""
        self._stopping = True
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping:
            call = self._next()
            if call is None or self._stopping:
                continue
            try:
                call()
            except Exception:
                log.exception("mailbox.call_failed", mailbox=self._thread.name)

    def _next(self) -> Call | None:
        """Return the next call, having waited for it; None when it is time to stop."""
        if not self._due:
            return self._queue.get()
        wait = self._due[0][0] - time.monotonic()
        if wait > 0:
            try:
                return self._queue.get(timeout=wait)
            except queue.Empty:
                pass
        return heapq.heappop(self._due)[2]
