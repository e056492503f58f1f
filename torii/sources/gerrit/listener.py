"""The one thread that looks where hints point. Whatever Gerrit does, it goes on: what could not be looked at stays pending."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

import structlog

from torii.errors import ToriiError
from torii.model.event import BranchMoved, ChangeUpdated
from torii.model.ids import ProjectName
from torii.runtime.ports import Cursor, Post
from torii.sources.gerrit.errors import GerritUnavailableError
from torii.sources.gerrit.hints import Hint
from torii.sources.gerrit.pending import Pending, Work
from torii.sources.gerrit.reader import AT_ONCE
from torii.sources.gerrit.watchdog import Pulse

log = structlog.get_logger()

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
SETTLE = 5.0
"""Seconds after somebody asked for a look at everything until the next: what happened just then may not be in Gerrit's index yet."""
TRIES = 5
"""How often a look that fails by a mistake of ours is tried, before what it was about is left for the next look at everything."""

Tell = Callable[[Sequence[ChangeUpdated | BranchMoved], Cursor], None]


class Looks(Protocol):
    """What this thread drives."""

    problems: dict[ProjectName, str]

    def look(self, work: Work) -> None:
        """Look at `work`. Raises ToriiError where that could not be done."""


Open = Callable[[str | None, Tell], Looks]
"""Makes what looks, to go on from a cursor's text; it tells through the given `Tell`."""


class RetiredError(ToriiError):
    """This thread was given up for stuck, and another works in its place: it may tell nothing any more."""


class _Shift:
    """One thread's time at work."""

    def __init__(self) -> None:
        self.retired = False
        self.thread: threading.Thread | None = None


class Listener:
    """Looks at everything when started and every `interval` seconds, and at what hints name at once.

    What is told goes to `post`; `pulse` beats while it gets on; `patience` multiplies its pauses.
    """

    def __init__(self, name: str, open_looks: Open, interval: float, post: Post, pulse: Pulse, patience: float = 1.0) -> None:
        self._name = name
        self._open = open_looks
        self._interval = interval
        self._post = post
        self._patience = patience
        self._pending = Pending()
        self._stopping = threading.Event()
        self._woken = threading.Event()
        self._lock = threading.Lock()
        self._shift = _Shift()
        self._state: str | None = None
        self._problem = "it was not asked yet"
        self._looks: Looks | None = None
        self._pulse = pulse

    def start(self, state: str | None) -> None:
        """Begin, from the cursor's text `state` on."""
        self._state = state
        self._begin()

    def add(self, hints: Iterable[Hint]) -> None:
        """Have `hints` looked into at once. From any thread."""
        hints = list(hints)
        if hints:
            self._pending.add(hints)
            self._woken.set()

    def alive(self) -> bool:
        """Whether the thread lives."""
        thread = self._shift.thread
        return self._stopping.is_set() or (thread is not None and thread.is_alive())

    def revive(self) -> None:
        """Have another thread go on from what was told last; the one there, if it ever wakes, tells nothing any more."""
        self._begin()

    def problems(self) -> tuple[str, ...]:
        """Return what keeps Gerrit from being read, in words."""
        return (self._problem,) if self._problem else ()

    def project_problems(self) -> Mapping[ProjectName, str]:
        """Return what is wrong with single projects."""
        return dict(self._looks.problems) if self._looks is not None else {}

    def close(self) -> None:
        """Look at nothing more. Returns at once."""
        self._stopping.set()
        self._pending.close()
        self._woken.set()

    def stop(self, timeout: float) -> bool:
        """Close, and wait up to `timeout` seconds for the thread to end; return whether it did."""
        self.close()
        thread = self._shift.thread
        if thread is not None and thread.is_alive():
            thread.join(timeout)
        return thread is None or not thread.is_alive()

    def _begin(self) -> None:
        with self._lock:
            self._shift.retired = True
            shift = _Shift()
            self._shift = shift
            self._pulse.rest()
        shift.thread = threading.Thread(target=self._run, args=(shift,), name=f"gerrit-reader-{self._name}", daemon=True)
        shift.thread.start()

    def _run(self, shift: _Shift) -> None:
        try:
            self._work(shift)
        except BaseException:
            log.exception("gerrit.reader_died", connection=self._name)
            raise

    def _work(self, shift: _Shift) -> None:
        def tell(events: Sequence[ChangeUpdated | BranchMoved], cursor: Cursor) -> None:
            with self._lock:
                if shift.retired or self._stopping.is_set():
                    raise RetiredError
                self._post(events, cursor)
                self._state = cursor.state
            self._pulse.beat()

        looks = self._open(self._state, tell)
        self._looks = looks
        due = time.monotonic()
        failures = 0
        while not (self._stopping.is_set() or shift.retired):
            self._woken.clear()
            now = time.monotonic()
            work = self._pending.take(AT_ONCE, max(0.0, due - now))
            if time.monotonic() >= due:
                work = Work(work.changes, work.branches, everything=True, thorough=work.thorough)
            if not work:
                continue
            self._pulse.beat()
            failures = self._try(looks, work, failures)
            self._pulse.rest()
            if work.everything:
                interval = min(self._interval, SETTLE * self._patience) if work.thorough else self._interval
                due = time.monotonic() + (interval if not failures else 0.0)
            if failures:
                self._rest(failures)

    def _try(self, looks: Looks, work: Work, failures: int) -> int:
        """Look at `work`; return how many looks have failed in a row."""
        try:
            looks.look(work)
        except RetiredError:
            return 0
        except ToriiError as error:
            self._failed(work, str(error), error if isinstance(error, GerritUnavailableError) else None, failures)
            self._pending.put_back(work)
            return failures + 1
        except Exception as error:
            log.exception("gerrit.look_failed", connection=self._name, changes=list(work.changes))
            self._problem = f"looking at what is new failed: {type(error).__name__}: {error}; the log says more"
            if failures < TRIES:
                self._pending.put_back(work)
            return failures + 1
        if failures:
            log.info("gerrit.answers_again", connection=self._name)
        self._problem = ""
        return 0

    def _failed(self, work: Work, reason: str, passing: GerritUnavailableError | None, failures: int) -> None:
        self._problem = reason
        if not self._stopping.is_set():
            tell = log.warning if failures == 0 or not passing else log.info
            tell("gerrit.look_failed", connection=self._name, reason=reason, changes=len(work.changes), everything=work.everything)

    def _rest(self, failures: int) -> None:
        """Wait a little before the next attempt, less where something new says that Gerrit is there."""
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 20)) * random.uniform(0.5, 1.0) * self._patience
        self._woken.wait(pause)
