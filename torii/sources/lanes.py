"""Do work in order for each project and side by side for different ones, on threads that live only while there is something to do.

A lane has its own thread, so that a remote that hangs holds up its own project's work and no other's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

import structlog

log = structlog.get_logger()

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class Lanes(Generic[K, T]):
    """Hands what is added under one key to `work`, in order; all that gathered meanwhile comes in one call. Thread-safe."""

    def __init__(self, name: str, work: Callable[[K, Sequence[T]], None]) -> None:
        self._name = name
        self._work = work
        self._waiting: dict[K, list[T]] = {}
        self._threads: dict[K, threading.Thread] = {}
        self._idle = threading.Condition()
        self._closed = False

    def add(self, key: K, things: Sequence[T]) -> None:
        """Have `things` worked on soon. Nothing happens once the lanes are closed."""
        with self._idle:
            if self._closed or not things:
                return
            self._waiting.setdefault(key, []).extend(things)
            if key not in self._threads:
                thread = threading.Thread(target=self._run, args=(key,), name=f"{self._name}-{key}", daemon=True)
                self._threads[key] = thread
                thread.start()

    def close(self, timeout: float) -> bool:
        """Drop what waits and wait up to `timeout` seconds for what is under way; return whether all of it ended."""
        deadline = time.monotonic() + timeout
        with self._idle:
            self._closed = True
            self._waiting.clear()
            while self._threads:
                if not self._idle.wait(max(0.0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                    return not self._threads
        return True

    def _run(self, key: K) -> None:
        while True:
            with self._idle:
                things = self._waiting.pop(key, [])
                if not things:
                    del self._threads[key]
                    self._idle.notify_all()
                    return
            try:
                self._work(key, things)
            except Exception:
                log.exception("source.work_failed", lane=self._name, key=str(key))
