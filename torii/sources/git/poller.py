"""Look at every project again and again, each on its own time, so that none that hangs or fails holds up another."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import structlog

from torii.errors import ToriiError
from torii.model.ids import ProjectName

log = structlog.get_logger()

PARALLEL = 4
"""Projects looked at side by side while all is well; and again as many of those that failed last time or are slow to answer."""

SLOW = 3.0
"""Seconds after which a look no longer keeps others from theirs."""

LONGEST_PAUSE = 300.0
FIRST_PAUSE = 1.0

Look = Callable[[ProjectName], str]
"""Looks at a project and returns what to say of its state, empty where all is well. Raises ToriiError where it could not."""


@dataclass(slots=True)
class _Turn:
    """When a project is looked at next, and how it went."""

    due: float
    state: str = "not read yet"
    failures: int = 0
    began: float | None = None
    woken: bool = False
    thread: threading.Thread | None = field(default=None, repr=False)


class Poller:
    """Calls `look` for each of `projects` every `interval` seconds, and at once when woken; times are of the monotonic clock."""

    def __init__(self, name: str, projects: Iterable[ProjectName], look: Look, interval: float) -> None:
        self._name = name
        self._look = look
        self._interval = interval
        self._turns = {project: _Turn(due=0.0) for project in projects}
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"poll-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self, project: ProjectName | None = None) -> None:
        """Look at `project` (None: at all) now; where a look is under way, again after it, since it may have come too early."""
        with self._changed:
            for name, turn in self._turns.items():
                if project in (None, name):
                    turn.woken = True
            self._changed.notify_all()

    def health(self) -> dict[ProjectName, str]:
        """Return the state of each project in words: `ok`, or what is wrong with it."""
        with self._changed:
            return {name: turn.state for name, turn in self._turns.items()}

    def problems(self) -> dict[ProjectName, str]:
        """Return, for the projects at which the last look failed, why it did."""
        with self._changed:
            return {name: turn.state for name, turn in self._turns.items() if turn.failures}

    def stop(self, timeout: float) -> bool:
        """Start no more looks and wait up to `timeout` seconds for those under way; return whether all ended."""
        deadline = time.monotonic() + timeout
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            threads = [turn.thread for turn in self._turns.values() if turn.thread is not None]
        if self._thread.is_alive():
            threads.append(self._thread)
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in threads)

    def _run(self) -> None:
        with self._changed:
            while not self._stopping:
                now = time.monotonic()
                for project in self._ready(now):
                    self._begin(project, now)
                self._changed.wait(self._pause(time.monotonic()))

    def _ready(self, now: float) -> list[ProjectName]:
        """Return whose turn it is, within the limits on how many at once; called with the lock held."""
        running = [turn for turn in self._turns.values() if turn.began is not None]
        suspects = sum(1 for turn in running if _suspect(turn, now))
        free = {False: PARALLEL - (len(running) - suspects), True: PARALLEL - suspects}
        waiting = [(turn.due, name) for name, turn in self._turns.items() if turn.began is None and (turn.woken or turn.due <= now)]
        ready = []
        for _, name in sorted(waiting):
            kind = _suspect(self._turns[name], now)
            if free[kind] > 0:
                free[kind] -= 1
                ready.append(name)
        return ready

    def _pause(self, now: float) -> float:
        """Return how long nothing will be due; called with the lock held."""
        idle = [turn.due - now for turn in self._turns.values() if turn.began is None]
        slow = [turn.began + SLOW - now for turn in self._turns.values() if turn.began is not None]
        later = [seconds for seconds in (*idle, *slow) if seconds > 0]
        # Whoever is due but has no place waits for a look to end, which notifies.
        return min(later, default=60.0) + 0.001

    def _begin(self, project: ProjectName, now: float) -> None:
        turn = self._turns[project]
        turn.began = now
        turn.woken = False
        turn.thread = threading.Thread(target=self._take_turn, args=(project,), name=f"look-{self._name}-{project}", daemon=True)
        turn.thread.start()

    def _take_turn(self, project: ProjectName) -> None:
        problem = None
        note = ""
        try:
            note = self._look(project)
        except ToriiError as error:
            problem = str(error)
        except Exception as error:
            log.exception("source.look_failed", source=self._name, project=project)
            problem = f"{type(error).__name__}: {error}"
        with self._changed:
            self._end(project, note, problem)
            self._changed.notify_all()

    def _end(self, project: ProjectName, note: str, problem: str | None) -> None:
        turn = self._turns[project]
        turn.began = None
        now = time.monotonic()
        if problem is None:
            if turn.failures:
                log.info("source.answers_again", source=self._name, project=project)
            turn.failures = 0
            turn.state = note or "ok"
            turn.due = now + self._interval
            return
        turn.failures += 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(turn.failures - 1, 20)) * random.uniform(0.5, 1.0)
        turn.due = now + pause
        turn.state = problem
        if not self._stopping:
            log.warning("source.unavailable", source=self._name, project=project, reason=problem, next_in=round(pause, 1))


def _suspect(turn: _Turn, now: float) -> bool:
    return turn.failures > 0 or (turn.began is not None and now - turn.began > SLOW)
