"""Bring each job to the workers before its builds, and watch that somebody has it registered while they wait.

A Torii worker takes job definitions through `torii:define:<worker>` (see `torii.gearman.functions`); Jenkins registers jobs on its
own. Which is which, and who is there at all, is read from the Gearman servers' `status`: often while a build waits, seldom otherwise.
Everything that blocks (rendering, questions to the servers) happens on the thread of this module.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import structlog

from torii.dispatch.away import Away
from torii.dispatch.mailbox import Mailbox
from torii.dispatch.pace import Pace
from torii.errors import ToriiError, UserError
from torii.gearman import Client, GearmanUnavailableError, JobHandle, Listener, seal
from torii.gearman.functions import BUILD, DEFINE, STOP, build_function
from torii.jobs import RenderedJob
from torii.model.build import BuildRequest
from torii.model.ids import BuildId
from torii.model.job import JobDefinition
from torii.model.pipeline import Precedence

log = structlog.get_logger()

_CACHED = 10_000
_SHOWN = 5


class Library(Protocol):
    """Where jobs are rendered; `torii.jobs.JobLibrary` is one."""

    def rendered(self, request: BuildRequest, plugins: Iterable[str] = ...) -> RenderedJob:
        """Return the job that `request` runs, made for a Jenkins that has `plugins`; its name does not depend on them.

        Raises `UserError` where its definition is at fault, else `OperatorError`.
        """


class Waiting(Protocol):
    """Who waits for jobs to be ready. Called on the thread of `Definitions`."""

    def ready(self, build: BuildId, function: str) -> None:
        """A worker has `function` registered, or will have in a moment."""

    def refused(self, build: BuildId, reason: str, users_fault: bool) -> None:
        """The job cannot be made."""

    def stalled(self, build: BuildId, reason: str) -> None:
        """No worker has the build's function registered, for `reason`; empty: some worker has again. May be said repeatedly."""

    def unregistered(self, build: BuildId) -> None:
        """Nobody has the function registered that `expect` was called with. Said at every look."""


@dataclass(slots=True)
class _Definition:
    job: RenderedJob
    function: str
    used: float
    told: dict[str, frozenset[str] | None] = field(default_factory=dict)
    """Worker function: the functions it registered for this job; None while it has not answered."""


@dataclass(slots=True)
class _Watch:
    """`job` is empty where somebody else sees to it that the function is registered."""

    since: float
    job: str = ""
    function: str = ""
    ready: bool = False


class Definitions:
    """Knows which functions are registered, and has definitions sent to workers that lack them."""

    def __init__(self, client: Client, library: Library, key: bytes, waiting: Waiting, pace: Pace | None = None) -> None:
        self._client = client
        self._library = library
        self._key = key
        self._waiting = waiting
        self._pace = pace or Pace()
        self._box = Mailbox("dispatch-definitions")
        self._targets: OrderedDict[tuple[str, str, JobDefinition, bool], tuple[str, str]] = OrderedDict()
        self._registered: frozenset[str] = frozenset()
        self._jobs: dict[str, _Definition] = {}
        self._watched: dict[BuildId, _Watch] = {}
        self._workers: dict[str, tuple[str, ...] | None] = {}
        self._met: set[str] = set()
        self._trouble = ""
        self._looked = 0.0
        self._turn = 0
        self._next_poll = 0.0
        self._pause = self._pace.busy

    def start(self) -> None:
        self._box.start()
        self._box.post(self._poll)

    def stop(self, timeout: float) -> None:
        self._box.stop(timeout)

    def run(self, call: Callable[[], None]) -> None:
        """Have something that blocks done on this thread."""
        self._box.post(call)

    def withdraw(self, handle: JobHandle) -> None:
        """Leave no request behind for somebody who comes back next week."""

        def cancel() -> None:
            try:
                self._client.cancel(handle)
            except GearmanUnavailableError as error:
                log.debug("dispatch.cancel_failed", error=str(error))

        self._box.post(cancel)

    def lookup(self, request: BuildRequest) -> str | None:
        """Return the function for `request` if a worker is known to have it registered; in any case, have the build watched.

        Returns at once. After None, one of `Waiting`'s methods is called.
        """
        target = self._targets.get(_identity(request))
        function = target[1] if target and target[1] in self._registered else None
        self._box.post(partial(self._want, request, function is not None))
        return function

    def expect(self, build: BuildId, function: str) -> bool:
        """Watch for `function`, which somebody else has registered. Return at once whether it is known to be; after False, as `lookup`."""
        ready = self.is_registered(function)
        self._box.post(partial(self._expect, build, function, ready))
        return ready

    def is_registered(self, function: str) -> bool:
        """Whether somebody had `function` registered at the last look."""
        return function in self._registered

    def release(self, build: BuildId) -> None:
        """The build has started or is over: watch it no more."""
        self._box.post(partial(self._release, build))

    def forget(self) -> None:
        """The servers may have changed: believe nothing of what was registered before."""
        self._registered = frozenset()
        self._box.post(self._look)

    def managers(self, told: Callable[[frozenset[str]], None]) -> None:
        """Look who is there now, and call `told` with the managers of Torii's workers, on this module's thread."""

        def look() -> None:
            self._look()
            told(self.known_managers)

        self._box.post(look)

    def has_met(self, manager: str) -> bool:
        """Whether `manager` is, or was, one of Torii's workers."""
        return manager in self._met

    @property
    def known_managers(self) -> frozenset[str]:
        """The managers of Torii's workers that were there at the last look."""
        return frozenset(worker.removeprefix(DEFINE) for worker in self._workers)

    @property
    def sees_a_jenkins(self) -> bool:
        """Whether any Jenkins' Gearman plug-in was there at the last look: it can be told to stop builds, and takes no definitions."""
        return any(name.startswith(STOP) and name.removeprefix(STOP) not in self.known_managers for name in self._registered)

    # below: on the mailbox's thread

    def _want(self, request: BuildRequest, ready: bool) -> None:
        watch = self._watched[request.id] = _Watch(time.monotonic(), ready=ready)
        try:
            job = self._library.rendered(request)
            watch.job, watch.function = job.name, build_function(job.name, job.label)
        except (ToriiError, ValueError) as error:
            del self._watched[request.id]
            self._waiting.refused(request.id, str(error), isinstance(error, (UserError, ValueError)))
            return
        except Exception as error:
            log.exception("dispatch.render_failed", build=request.id, job=request.job.name)
            del self._watched[request.id]
            self._waiting.refused(request.id, f"the job could not be rendered: {type(error).__name__}: {error}", False)
            return
        self._remember(request, watch)
        definition = self._jobs.setdefault(job.name, _Definition(job, watch.function, 0.0))
        definition.used = time.monotonic()
        if not ready and watch.function not in self._registered:
            if time.monotonic() - self._looked > self._pace.burst:
                self._look()
            self._hasten()
        self._tell_workers(definition)
        self._check(request.id, watch)

    def _expect(self, build: BuildId, function: str, ready: bool) -> None:
        watch = self._watched[build] = _Watch(time.monotonic(), function=function, ready=ready)
        if not ready:
            if function not in self._registered and time.monotonic() - self._looked > self._pace.burst:
                self._look()
            self._pause = self._pace.burst  # it may be there any moment, where a job was made for it
            self._hasten()
        self._check(build, watch)

    def _remember(self, request: BuildRequest, watch: _Watch) -> None:
        self._targets[_identity(request)] = (watch.job, watch.function)
        while len(self._targets) > _CACHED:
            self._targets.popitem(last=False)

    def _release(self, build: BuildId) -> None:
        self._watched.pop(build, None)

    def _poll(self, turn: int = 0) -> None:
        if turn != self._turn:
            return  # an earlier poll was put in its place
        try:
            self._look()
            self._withdraw()
        finally:
            self._schedule(self._next_pause())

    def _next_pause(self) -> float:
        """Return the seconds until the servers are looked at again: few at first where a function is expected, then ever more."""
        if not self._watched:
            return self._pace.idle
        self._pause = min(self._pace.busy, 2 * self._pause)
        return self._pause

    def _schedule(self, seconds: float) -> None:
        self._turn += 1
        self._next_poll = time.monotonic() + seconds
        self._box.later(seconds, partial(self._poll, self._turn))

    def _hasten(self) -> None:
        """Somebody waits: do not let a long pause run out first."""
        pause = min(self._pause, self._pace.busy)
        if self._next_poll - time.monotonic() > pause:
            self._schedule(pause)

    def _look(self) -> None:
        """Read what is registered, serve new workers, and tell who waits."""
        now = self._looked = time.monotonic()
        try:
            functions = self._client.functions()
        except GearmanUnavailableError as error:
            self._trouble, self._registered = str(error), frozenset()
        else:
            self._trouble = ""
            self._registered = frozenset(name for name, status in functions.items() if status.workers)
            present = {name for name in self._registered if name.startswith(DEFINE)}
            self._workers = {name: self._workers.get(name) for name in present}
            self._met |= self.known_managers
        for definition in self._jobs.values():
            self._recheck(definition)
            if now - definition.used < self._pace.fresh:
                self._tell_workers(definition)
        for watch in list(self._watched.values()):
            if not watch.ready and watch.job in self._jobs:
                self._tell_workers(self._jobs[watch.job])
        for build, watch in list(self._watched.items()):
            self._check(build, watch)

    def _recheck(self, definition: _Definition) -> None:
        """Believe what workers answered only as far as the servers' status bears it out."""
        for worker in [worker for worker in definition.told if worker not in self._workers]:
            del definition.told[worker]
        if definition.function not in self._registered:
            for worker, functions in list(definition.told.items()):
                if functions is not None and definition.function in functions:
                    del definition.told[worker]  # it has begun anew under its old name, knowing nothing

    def _check(self, build: BuildId, watch: _Watch) -> None:
        if watch.function and watch.function in self._registered:
            if not watch.ready:
                watch.ready = True
                self._waiting.ready(build, watch.function)
            self._waiting.stalled(build, "")
        elif watch.function and time.monotonic() - watch.since >= self._pace.grace:
            if watch.job or self._trouble:
                self._waiting.stalled(build, self._why(watch.function))
            else:
                self._waiting.unregistered(build)

    def _why(self, function: str) -> str:
        if self._trouble:
            return Away(self._trouble)
        labels = Counter(" ".join(labels) or "none" for labels in self._workers.values() if labels is not None)
        known = ", ".join(f"{text} ({count})" for text, count in labels.most_common(_SHOWN))
        if not self._workers:
            others = any(name.startswith(BUILD) for name in self._registered)
            who = "only workers for other jobs are connected" if others else "no worker is connected"
        elif labels.total() < len(self._workers):
            count = len(self._workers)
            said = "1 worker is connected and has" if count == 1 else f"{count} workers are connected and have"
            who = f"{said} yet to say whether it can be run there"
        elif labels.total() == 1:
            who = f"a worker with labels {next(iter(labels))} is connected"
        else:
            who = f"{labels.total()} workers are connected, with labels: {known}"
        return f"no worker has registered {function}; {who}"

    def _tell_workers(self, definition: _Definition) -> None:
        job = definition.job
        payload = b""
        for worker in self._workers:
            if worker in definition.told:
                continue
            payload = payload or seal(self._key, {"name": job.name, "xml": job.xml.decode(), "label": job.label})
            definition.told[worker] = None
            digest = hashlib.sha256(payload).hexdigest()[:16]
            self._client.submit(worker, payload, f"define-{digest}", Precedence.HIGH, _Answer(self, worker, job.name))

    def answered(self, worker: str, name: str, data: bytes | None) -> None:
        """A worker answered the definition of job `name`, or (None) did not take it. From any thread."""
        self._box.post(partial(self._answered, worker, name, data))

    def _answered(self, worker: str, name: str, data: bytes | None) -> None:
        definition = self._jobs.get(name)
        if definition is None:
            return
        answer = _answer(data) if data is not None else None
        if answer is None:
            # tried again when the servers are looked at next
            definition.told.pop(worker, None)
            return
        functions, labels = answer
        definition.told[worker] = functions
        if worker in self._workers:
            self._workers[worker] = labels
        self._registered |= functions
        for build, watch in list(self._watched.items()):
            if watch.job == name:
                self._check(build, watch)

    def _withdraw(self) -> None:
        """Have workers forget jobs that nothing has used for long, so that functions do not pile up."""
        limit = time.monotonic() - self._pace.keep
        used = {watch.job for watch in self._watched.values()}
        for name, definition in list(self._jobs.items()):
            if definition.used < limit and name not in used:
                del self._jobs[name]
                payload = seal(self._key, {"name": name, "remove": True})
                for worker in definition.told:
                    self._client.submit(worker, payload, f"remove-{name}", Precedence.LOW)
                log.info("dispatch.definition_withdrawn", job=name, workers=len(definition.told))


class _Answer(Listener):
    def __init__(self, definitions: Definitions, worker: str, name: str) -> None:
        self._definitions, self._worker, self._name = definitions, worker, name

    def complete(self, data: bytes) -> None:
        self._definitions.answered(self._worker, self._name, data)

    def fail(self) -> None:
        self._definitions.answered(self._worker, self._name, None)

    def exception(self, data: bytes) -> None:
        log.warning("dispatch.definition_refused", worker=self._worker, job=self._name, reason=data.decode("utf-8", "replace")[:500])
        self.fail()

    def lost(self) -> None:
        self.fail()


def _identity(request: BuildRequest) -> tuple[str, str, JobDefinition, bool]:
    return request.project, request.branch, request.job, request.synced


def _answer(data: bytes) -> tuple[frozenset[str], tuple[str, ...]] | None:
    """Return the functions and labels in a worker's answer, or None for nonsense."""
    try:
        said: Any = json.loads(data)
        functions, labels = said["functions"], said.get("labels", ())
        return frozenset(str(name) for name in functions), tuple(str(label) for label in labels)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
