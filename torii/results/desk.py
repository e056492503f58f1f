"""What is asked of one Jenkins, in which order, and what happens while it does not answer.

Ends of builds go before logs, which share a budget of requests. A question that fails is asked again, with growing pauses and without
end. Where several fail in a row the controller counts as away: then one question at a time finds out whether it is back, and all the
others wait for that, so that a Jenkins which is starting is not met by a thousand questions.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog

from torii.errors import ToriiError
from torii.jenkins import JenkinsError
from torii.results.turns import Turns

log = structlog.get_logger()

_AWAY_AFTER = 3


@dataclass(frozen=True, slots=True)
class Pace:
    """How much is asked of one controller, and how often. Times are seconds.

    `threads` read ends of builds, `log_threads` logs, `rate` times a second at most. A log is looked at `quick` after its build began and
    as long as it grows; one that is quiet ever more seldom, down to every `slow`, but in a build's first `young` seconds every second.
    `retry` is the first pause after a question that failed, `longest` the last. `again` lies between questions whether a build that should
    be over is.
    """

    threads: int = 4
    log_threads: int = 2
    rate: float = 30.0
    quick: float = 0.5
    slow: float = 30.0
    young: float = 10.0
    retry: float = 0.5
    longest: float = 10.0
    again: float = 0.02


@dataclass(slots=True, eq=False)
class Task:
    """Something to be asked. `act` returns after how many seconds it wants to be called again, None: it is done.

    `trouble` hears why it could not be done, and "" once it could. Tasks that are not `urgent` share the budget.
    """

    act: Callable[[], float | None]
    trouble: Callable[[str], None]
    urgent: bool = True
    pause: float = 0.0
    said: str = ""

    def say(self, trouble: str) -> None:
        if trouble != self.said:
            self.said = trouble
            self.trouble(trouble)


class Desk:
    """The tasks of the controller called `name`. Tasks may be added from any thread, before `start` too."""

    def __init__(self, name: str, pace: Pace) -> None:
        self._name, self._pace = name, pace
        self._urgent = Turns(f"results-{name}", pace.threads)
        self._calm = Turns(f"results-{name}-log", pace.log_threads, pace.rate)
        self._lock = threading.Lock()
        self._failures = 0
        self._away = ""
        self._held: deque[Task] = deque()
        self._pause = pace.retry
        self._absence = 0

    def start(self) -> None:
        self._urgent.start()
        self._calm.start()

    def stop(self, timeout: float) -> None:
        self._urgent.stop(timeout / 2)
        self._calm.stop(timeout / 2)

    def add(self, task: Task, after: float = 0.0) -> None:
        """Have `task` done in `after` seconds, and as often as it wants."""
        (self._urgent if task.urgent else self._calm).add(partial(self._turn, task), after)

    def _turn(self, task: Task) -> None:
        with self._lock:
            away = self._away
            if away:
                self._held.append(task)
        if away:
            task.say(away)
        else:
            self._try(task)

    def _try(self, task: Task) -> None:
        try:
            after = task.act()
        except (ToriiError, OSError) as error:
            self._failed(task, error)
        except Exception as error:
            log.exception("results.task_failed", controller=self._name)
            self._failed(task, error)
        else:
            task.pause = 0.0
            task.say("")
            self._worked()
            if after is not None:
                self.add(task, after)

    def _failed(self, task: Task, error: Exception) -> None:
        reason = str(error) or type(error).__name__
        task.pause = min(max(task.pause * 2, self._pace.retry), self._pace.longest)
        with self._lock:
            self._failures += isinstance(error, JenkinsError)
            away = self._failures >= _AWAY_AFTER
            if away:
                begins, self._away = not self._away, reason
                self._absence += begins
                absence = self._absence
                self._held.append(task)
        task.say(reason)
        if not away:
            self.add(task, task.pause)
        elif begins:
            log.warning("results.jenkins_away", controller=self._name, reason=reason)
            self._pause = self._pace.retry
            self._urgent.add(partial(self._probe, absence), self._pause)

    def _worked(self) -> None:
        with self._lock:
            self._failures = 0
            was_away, self._away = self._away, ""
            held = list(self._held) if was_away else []
            if was_away:
                self._held.clear()
        if was_away:
            log.info("results.jenkins_back", controller=self._name, waiting=len(held))
        for task in held:
            self.add(task)

    def _probe(self, absence: int) -> None:
        """Try one of what waits; the others follow if it works. Each in its turn: one may fail for a reason of its own."""
        with self._lock:
            if not self._away or self._absence != absence:
                return
            if not self._held:
                self._away, self._failures = "", _AWAY_AFTER - 1
                return
            task = self._held.popleft()
        self._try(task)
        with self._lock:
            away = bool(self._away) and self._absence == absence
        if away:
            self._pause = min(self._pause * 2, self._pace.longest)
            self._urgent.add(partial(self._probe, absence), self._pause)
