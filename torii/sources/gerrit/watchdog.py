"""Sees to it that no thread of a source dies or hangs unseen: it becomes an error in the log and in the source's health.

A thread that works says so with a `Pulse`. One that is dead, or at one and the same thing for too long, is given up and replaced.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

log = structlog.get_logger()

EVERY = 2.0
"""Seconds between two looks."""

SHOWN = 600.0
"""Seconds for which what went wrong is told after it was mended."""


class Pulse:
    """When a thread last got anywhere. Thread-safe."""

    def __init__(self) -> None:
        self._since: float | None = None

    def beat(self) -> None:
        """There is work, and it has just got on."""
        self._since = time.monotonic()

    def rest(self) -> None:
        """There is nothing to do."""
        self._since = None

    def stuck_for(self) -> float:
        """Return for how many seconds the work has not got on, 0 where there is none."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since


@dataclass(slots=True)
class Watched:
    """A thread to watch: `alive` says whether it is, `revive` puts a new one in its place. `limit` is seconds without getting on."""

    name: str
    alive: Callable[[], bool]
    pulse: Pulse
    limit: float
    revive: Callable[[], None]
    problem: str = field(default="")
    mended: float = field(default=0.0)


class Watchdog:
    """Watches from `start` to `stop`."""

    def __init__(self, source: str, watched: list[Watched], every: float = EVERY) -> None:
        self._source = source
        self._watched = watched
        self._every = every
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"gerrit-watchdog-{source}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        """Stop watching; return whether that happened within `timeout` seconds."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def problems(self) -> tuple[str, ...]:
        """Return what is or lately was wrong, in words."""
        if self._thread.ident is not None and not self._thread.is_alive() and not self._stopping.is_set():
            return ("its watchdog died, which is a bug in Torii: start Torii again",)
        now = time.monotonic()
        return tuple(each.problem for each in self._watched if each.problem and now - each.mended < SHOWN)

    def _run(self) -> None:
        while not self._stopping.wait(self._every):
            for each in self._watched:
                try:
                    self._look(each)
                except Exception:  # the next look comes; a watchdog that ends watches nothing
                    log.exception("gerrit.watchdog_failed", source=self._source, thread=each.name)

    def _look(self, watched: Watched) -> None:
        stuck = watched.pulse.stuck_for()
        if not watched.alive():
            problem = f"{watched.name} died, which is a bug in Torii, and was started again; the log says more"
        elif stuck > watched.limit:
            problem = f"{watched.name} got nowhere for {stuck:.0f} s, and was started again; the log says more"
        else:
            return
        if self._stopping.is_set():
            return
        watched.problem, watched.mended = problem, time.monotonic()
        log.error("gerrit.thread_replaced", source=self._source, thread=watched.name, reason=problem)
        watched.revive()
