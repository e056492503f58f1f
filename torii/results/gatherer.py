"""Brings what builds in Jenkins say and leave into the blob store: the log while they run, the rest when they have ended, the record last.

From then on a build's outcome, log and artifacts are found where Torii's own worker leaves them. Nothing of what is known here matters for
long: after a crash, `follow` and `finish` with the same run go on where the blobs say, and end in the same log and the same record.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import structlog

from torii.jenkins import Build, Controller, JenkinsMissingError, Queued
from torii.model.build import Result
from torii.model.ids import BuildId
from torii.model.job import JobDefinition
from torii.results.conclusion import Conclusion, outcome_of
from torii.results.desk import Desk, Pace, Task
from torii.results.following import Following
from torii.results.ports import Blobs
from torii.results.run import Run, Waiting
from torii.runtime.ports import Outcome

log = structlog.get_logger()

_MUCH = 1 << 20
"""Bytes after which there is likely to be more at once."""

Told = Callable[[Outcome | None], None]
Troubled = Callable[[str], None]
Found = Callable[[Run | Waiting | None, bool], None]


def _unheard(reason: str) -> None:
    """Nobody wants to know."""


class Gatherer:
    """Follows builds in the Jenkins `controllers`, by their names in `server.yml`. Every method returns at once, from any thread.

    A few threads for each controller do the work; what is told is told on one of them, so whoever is told posts it on and returns.
    """

    def __init__(
        self,
        controllers: Mapping[str, Controller],
        blobs: Blobs,
        clock: Callable[[], float] = time.time,
        pace: Pace | None = None,
    ) -> None:
        self._controllers, self._blobs, self._clock = controllers, blobs, clock
        self._pace = pace or Pace()
        self._lock = threading.Lock()
        self._followed: dict[BuildId, Following] = {}
        self._searches: dict[BuildId, _Search] = {}
        self._desks: dict[str, Desk] = {}
        self._started = self._stopped = False

    def start(self) -> None:
        """Begin to ask. What was asked for before is done now."""
        with self._lock:
            self._started = True
            desks = list(self._desks.values())
        for desk in desks:
            desk.start()

    def follow(self, run: Run, job: JobDefinition | None = None, *, copy: bool | None = None) -> None:
        """Begin to bring the console log of `run` into the store (`builds/<id>/console.log`), live. Idempotent.

        A run with another number, of a build that is followed already, begins anew, with a note in the log. `job` says what is to be read
        when it has ended; `copy`, whether its artifacts are copied (None: as the controller's settings say).
        """
        with self._lock:
            following, new = self._at(run)
            following.job = job or following.job
            following.copy = following.copy if copy is None else copy
        if new and run.controller in self._controllers:
            self._desk(run.controller).add(Task(partial(self._poll, following), _unheard, urgent=False), self._pace.quick)

    def finish(self, run: Run, word: Result | None, told: Told, troubled: Troubled = _unheard) -> None:
        """The build has ended, or will in a moment: read the rest, write the record, then call `told` with the outcome, once.

        `word` is what Gearman said of its end, if it did. None is told where Jenkins does not know the build (any more) and there is no
        word either. While Jenkins does not answer it is asked again and again, and `troubled` hears why; "" once it answered.
        """
        with self._lock:
            following, _ = self._at(run)
            following.word = word or following.word
            following.told.append(told)
            following.troubled = troubled
            first, following.ending = not following.ending, True
        if first:
            self._ask_for_the_end(following)

    def find(self, build: BuildId, job: str, controllers: Sequence[str], told: Found, troubled: Troubled = _unheard) -> None:
        """Ask `controllers` what became of the build of `job` whose TORII_UUID is `build`. `told` is called once.

        It is told the `Run`, and whether that has ended; or `Waiting`, where it is in the queue of one of them, and False; or None, and
        False, once all of them have answered that they do not know it. Those that do not answer are asked until they do.
        """
        known = [name for name in controllers if name in self._controllers]
        search = _Search(build, known, told)
        with self._lock:
            earlier, self._searches[build] = self._searches.get(build), search
        if earlier is not None:
            earlier.over = True
        if not known:
            self._desk("").add(Task(partial(search.answered, "", None), _unheard))
        for name in known:
            self._desk(name).add(Task(partial(self._look, search, job, name), troubled))

    def drop(self, build: BuildId) -> None:
        """Follow `build` no more, look for it no more, and tell nothing more of it."""
        with self._lock:
            following, search = self._followed.pop(build, None), self._searches.pop(build, None)
        if following is not None:
            following.dropped = True
        if search is not None:
            search.over = True

    def stop(self, timeout: float) -> None:
        """Ask nothing more; wait up to `timeout` seconds for what is under way. What is lost by it is found again after a start."""
        with self._lock:
            self._stopped = True
            desks = list(self._desks.values())
        deadline = time.monotonic() + timeout
        for desk in desks:
            desk.stop(max(0.0, deadline - time.monotonic()))

    def _at(self, run: Run) -> tuple[Following, bool]:
        """Return what is known of `run`, and whether that is nothing yet. With the lock held."""
        earlier = self._followed.get(run.build)
        if earlier is not None and earlier.run.identity == run.identity:
            return earlier, False
        following = self._followed[run.build] = Following(run, since=time.monotonic())
        if earlier is not None:
            earlier.dropped = True
            following.baton = earlier.baton
        return following, True

    def _ask_for_the_end(self, following: Following) -> None:
        task = Task(partial(self._end, following), lambda reason: following.troubled(reason))
        self._desk(following.run.controller).add(task)

    def _give_back(self, following: Following) -> None:
        for each in following.baton.give_back():
            self._ask_for_the_end(each)

    def _desk(self, name: str) -> Desk:
        with self._lock:
            desk = self._desks.get(name)
            if desk is None:
                desk = self._desks[name] = Desk(name or "nowhere", self._pace)
                if self._started and not self._stopped:
                    desk.start()
            return desk

    # Below: on the desks' threads.

    def _poll(self, following: Following) -> float | None:
        """Read on in the log of a build that runs; return when to look again."""
        if following.ending or following.dropped:
            return None
        if not following.baton.take():
            return self._pace.quick
        try:
            return self._read_on(following)
        finally:
            self._give_back(following)

    def _read_on(self, following: Following) -> float | None:
        run, pace = following.run, self._pace
        controller = self._controllers[run.controller]
        with following.reading(self._blobs, controller.settings.log_limit) as transcript:
            if transcript is None:
                self._let_go(following)
                return None
            if transcript.full:
                return None
            try:
                piece = controller.log(run.job, run.number, transcript.offset)
            except JenkinsMissingError:  # deleted, or lost with its controller: `finish` or another run will tell
                return pace.slow
            grew = transcript.take(piece)
        if len(piece.data) >= _MUCH:
            return 0.0
        if grew:
            following.pause = pace.quick
        else:
            young = time.monotonic() - following.since < pace.young
            following.pause = min(max(following.pause, pace.quick) * 1.5, 1.0 if young else pace.slow)
        return following.pause if piece.more else pace.slow

    def _end(self, following: Following) -> float | None:
        """Read the end of a build; return when to try again where it has not ended yet."""
        if following.dropped or not following.baton.take(ending=following):
            return None
        try:
            controller = self._controllers.get(following.run.controller)
            ended = Conclusion(self._blobs, controller, following, self._pace, self._clock).reach()
        finally:
            self._give_back(following)
        if isinstance(ended, float):
            return ended
        with self._lock:
            if following.dropped:
                return None
            following.dropped = True
            if self._followed.get(following.run.build) is following:
                del self._followed[following.run.build]
            listeners = list(following.told)
        if following.complained:
            following.troubled("")
        for told in listeners:
            told(outcome_of(ended) if ended is not None else None)
        return None

    def _let_go(self, following: Following) -> None:
        """There is a record: nothing more is to be read, unless somebody waits to hear of it."""
        with self._lock:
            if self._followed.get(following.run.build) is following and not following.ending:
                del self._followed[following.run.build]

    def _look(self, search: _Search, job: str, name: str) -> None:
        if search.over:
            return
        try:
            found = self._controllers[name].find(job, search.build)
        except JenkinsMissingError:
            found = None
        match found:
            case Build():
                node = "" if found.running else found.node  # one that has just begun is said to be on the built-in node
                search.answered(name, Run(search.build, name, job, found.number, found.url, node), not found.running)
            case Queued(cancelled=False):
                search.answered(name, Waiting(search.build, name, found))
            case _:
                search.answered(name, None)
        with self._lock:
            if search.over and self._searches.get(search.build) is search:
                del self._searches[search.build]


class _Search:
    """One question to several controllers."""

    def __init__(self, build: BuildId, controllers: Sequence[str], told: Found) -> None:
        self.build, self._told = build, told
        self.over = False
        self._open = set(controllers)
        self._lock = threading.Lock()

    def answered(self, controller: str, found: Run | Waiting | None, ended: bool = False) -> None:
        with self._lock:
            self._open.discard(controller)
            if self.over or (found is None and self._open):
                return
            self.over = True
        self._told(found, ended)
