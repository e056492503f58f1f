"""Has the job of each build in the Jenkins controllers that may run it, before the build is asked for.

A job of the branch's own `torii.yml` stands under its name; one that a change alters or adds is a copy, named by the hash of its XML,
which is removed some minutes after the last build that needed it. While builds of one definition of a job are under way, a build of
another one gets a copy too: nobody's job is changed under them.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from threading import Lock
from typing import TYPE_CHECKING, Protocol

import structlog

from torii.dispatch.away import reason_of, together
from torii.dispatch.jenkins_desk import Desk
from torii.dispatch.jenkins_shelf import Shelf
from torii.dispatch.mailbox import Mailbox
from torii.dispatch.pace import Pace
from torii.dispatch.parameters import declared
from torii.errors import OperatorError, ToriiError, UserError
from torii.gearman.functions import build_function
from torii.jenkins import JenkinsInvalidError, JenkinsUnavailableError
from torii.jobs.marks import digest
from torii.model.build import BuildRequest
from torii.model.ids import BuildId
from torii.model.job import JobDefinition

if TYPE_CHECKING:
    from torii.dispatch.definitions import Library

log = structlog.get_logger()

_CACHED = 10_000
_SLOWEST = 10

_Identity = tuple[str, str, JobDefinition, bool]
"""What makes two requests run the same job."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the job of a build stands: its name, the function that runs it, and the controllers that are known to have it just so.

    `copy`: it is a change's own. `definition` is a digest of it, `defaults` are of the parameters that it declares.
    """

    name: str
    function: str
    controllers: frozenset[str]
    copy: bool
    definition: str
    defaults: Mapping[str, str]


class JobsWaiting(Protocol):
    """Who waits for jobs in Jenkins. Called on the thread of `JenkinsJobs`."""

    def brought(self, build: BuildId, place: Place) -> None:
        """The job is there."""

    def refused(self, build: BuildId, reason: str, users_fault: bool) -> None:
        """The job cannot be made."""

    def stalled(self, build: BuildId, reason: str) -> None:
        """The job cannot be brought at present, or nobody has its function registered, for `reason`; it is tried again."""


@dataclass(slots=True)
class _Task:
    """A build that waits for its job. `open` are controllers that have not answered the round of questions under way."""

    request: BuildRequest
    controllers: tuple[str, ...]
    place: Place | None = None
    turn: int = 0
    tries: int = 0
    looked: float = 0.0
    open: set[str] = field(default_factory=set)
    brought: set[str] = field(default_factory=set)
    troubles: dict[str, OperatorError] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


class JenkinsJobs:
    """Brings jobs into Jenkins. `desks` are where the controllers are asked; `instance` is whose the copies are."""

    def __init__(self, desks: Mapping[str, Desk], library: Library, instance: str, waiting: JobsWaiting, pace: Pace) -> None:
        self._desks = desks
        self._library = library
        self._waiting = waiting
        self._pace = pace
        self._shelves = {name: Shelf(desk.controller, library, instance, pace) for name, desk in desks.items()}
        self._box = Mailbox("dispatch-jenkins-jobs")
        self._tasks: dict[BuildId, _Task] = {}
        self._lock = Lock()
        self._ready: OrderedDict[_Identity, Place] = OrderedDict()
        self._users: dict[str, dict[BuildId, str]] = {}
        self._names: dict[BuildId, str] = {}
        self._freed: dict[str, float] = {}

    def start(self) -> None:
        self._box.start()
        self._box.post(self._tidy)

    def stop(self, timeout: float) -> None:
        self._box.stop(timeout)

    # From any thread; each returns at once.

    def lookup(self, request: BuildRequest) -> Place | None:
        """Return where the job of `request` is known to be as it should, None where nowhere; it stays so until `release`."""
        with self._lock:
            place = self._ready.get(_identity(request))
            if place is None or self._others(place):
                return None
            self._claim(request, place)
        self._box.post(partial(self._verify, request, place))
        return place

    def ensure(self, request: BuildRequest, controllers: Sequence[str]) -> None:
        """Have the job of `request` brought into `controllers`; `brought` or `refused` is called when that has come to an end."""
        self._box.post(partial(self._begin, request, tuple(controllers)))

    def unregistered(self, request: BuildRequest, controllers: Sequence[str], place: Place, connected: bool) -> None:
        """Nobody has the function registered: look whether the job still is there, and say why. Call it as often as you like.

        `connected`: whether any Jenkins is at the Gearman server.
        """
        self._box.post(partial(self._look_again, request, tuple(controllers), place, connected))

    def suspect(self, place: Place) -> None:
        """Something was odd about a build of the job: believe no more that it is there."""
        with self._lock:
            self._doubt(place.name)
        self._forget_listings(self._desks)

    def forget(self) -> None:
        """Somebody else has written jobs: believe no more that any is there."""
        with self._lock:
            self._ready.clear()
        self._forget_listings(self._desks)

    def has(self, controller: str, place: Place) -> bool:
        """Whether `controller` is known to have the job just so."""
        return self._shelves[controller].holds(place.name, place.definition)

    def name(self, request: BuildRequest, told: Callable[[Place | None], None]) -> None:
        """Tell where the job of `request` stands, if it does, and keep it there until `release`; None where it cannot be rendered."""

        def do() -> None:
            try:
                place = self._place_of(request)
            except Exception as error:
                log.warning("dispatch.render_failed", build=request.id, job=request.job.name, error=str(error))
                told(None)
                return
            with self._lock:
                self._claim(request, place)
            told(place)

        self._box.post(do)

    def release(self, build: BuildId) -> None:
        """The build is over, or nobody wants it any more."""
        with self._lock:
            self._unclaim(build)
        self._box.post(lambda: self._drop(build))

    # Below, on the mailbox's thread. With the lock held:

    def _others(self, place: Place) -> bool:
        """Whether builds of another definition of the job are under way under this very name."""
        return any(definition != place.definition for definition in self._users.get(place.name, {}).values())

    def _claim(self, request: BuildRequest, place: Place) -> None:
        self._unclaim(request.id)
        self._users.setdefault(place.name, {})[request.id] = place.definition
        self._names[request.id] = place.name

    def _unclaim(self, build: BuildId) -> None:
        name = self._names.pop(build, None)
        if name is not None:
            users = self._users[name]
            del users[build]
            self._freed[name] = time.monotonic()
            if not users:
                del self._users[name]

    def _doubt(self, name: str, but: str = "") -> None:
        """Believe no more that `name` is ready, for any definition `but` this."""
        for identity in [each for each, place in self._ready.items() if place.name == name and place.definition != but]:
            del self._ready[identity]

    # Without it:

    def _begin(self, request: BuildRequest, controllers: tuple[str, ...]) -> None:
        task = self._tasks[request.id] = _Task(request, controllers)
        try:
            task.place = self._find_place(request)
        except (ToriiError, ValueError) as error:
            self._refuse(task, str(error), isinstance(error, (UserError, ValueError)))
        except Exception as error:
            log.exception("dispatch.render_failed", build=request.id, job=request.job.name)
            self._refuse(task, f"the job could not be rendered: {type(error).__name__}: {error}", False)
        else:
            self._round(task)

    def _find_place(self, request: BuildRequest) -> Place:
        """Choose the name under which the job is to stand, and claim it."""
        place = self._place_of(request)
        with self._lock:
            if not self._others(place):
                self._doubt(place.name, but=place.definition)
                self._claim(request, place)
                return place
        place = self._place_of(replace(request, synced=False))
        with self._lock:
            self._claim(request, place)
        return place

    def _place_of(self, request: BuildRequest) -> Place:
        rendered = self._library.rendered(request)
        function = build_function(rendered.name, rendered.label)
        definition, defaults = _read(rendered.xml)
        return Place(rendered.name, function, frozenset(), not request.synced, definition, defaults)

    def _drop(self, build: BuildId) -> None:
        self._tasks.pop(build, None)

    def _verify(self, request: BuildRequest, place: Place) -> None:
        """Where the templates have changed since the job was brought, have it brought anew for the next build."""
        try:
            now = self._place_of(request)
        except Exception as error:
            log.warning("dispatch.render_failed", build=request.id, job=request.job.name, error=str(error))
            return
        if now.definition != place.definition:
            with self._lock:
                self._doubt(place.name)

    def _refuse(self, task: _Task, reason: str, users_fault: bool) -> None:
        self._tasks.pop(task.request.id, None)
        self._waiting.refused(task.request.id, reason, users_fault)

    def _round(self, task: _Task) -> None:
        """Have each controller put the job right."""
        place = task.place
        assert place is not None
        task.turn += 1
        task.looked = time.monotonic()
        task.open, task.brought, task.troubles, task.reasons = set(task.controllers), set(), {}, {}
        for name in task.controllers:
            answered = partial(self._answered, task, task.turn, name)
            question = partial(self._shelves[name].bring, task.request, place.copy, place.definition)
            self._ask(name, question, answered)

    def _ask(self, name: str, question: partial[None] | partial[str], answered: partial[None]) -> None:
        desk = self._desks[name]

        def told(answer: str | None) -> None:
            self._box.post(partial(answered, answer))

        desk.ask(question, told, lambda error: self._box.post(partial(answered, error)))

    def _answered(self, task: _Task, turn: int, name: str, answer: str | OperatorError | None) -> None:
        if task.turn != turn or self._tasks.get(task.request.id) is not task:
            return
        task.open.discard(name)
        if isinstance(answer, OperatorError):
            task.troubles[name] = answer
        else:
            task.brought.add(name)
        if not task.open:
            self._judge(task)

    def _judge(self, task: _Task) -> None:
        """All controllers have answered. One that is away is left out where another has the job; one that refuses is not."""
        assert task.place is not None
        build = task.request.id
        for error in task.troubles.values():
            if isinstance(error, JenkinsInvalidError):
                self._refuse(task, f"its job {task.place.name} cannot be made: {error}", True)
                return
        if task.brought and all(isinstance(error, JenkinsUnavailableError) for error in task.troubles.values()):
            del self._tasks[build]
            self._waiting.brought(build, self._keep(task.request, replace(task.place, controllers=frozenset(task.brought))))
            return
        self._waiting.stalled(build, together(map(reason_of, task.troubles.values())))
        task.tries += 1
        pause = self._pace.retry * min(_SLOWEST, 2 ** min(task.tries - 1, 10))
        self._box.later(pause, partial(self._again, task, task.turn))

    def _again(self, task: _Task, turn: int) -> None:
        if task.turn == turn and self._tasks.get(task.request.id) is task:
            self._forget_listings(task.controllers)
            self._round(task)

    def _forget_listings(self, names: Iterable[str]) -> None:
        for name in names:
            self._desks[name].ask(self._shelves[name].forget, lambda _: None, lambda _: None)

    def _keep(self, request: BuildRequest, place: Place) -> Place:
        """Have `lookup` find the place, along with controllers that were known to have the job before; return it with those."""
        with self._lock:
            if place.copy == request.synced:
                return place  # for this build only: the next one finds the job's own name free, perhaps
            before = self._ready.get(_identity(request))
            if before is not None and before.definition == place.definition:
                place = replace(place, controllers=place.controllers | before.controllers)
            self._ready[_identity(request)] = place
            while len(self._ready) > _CACHED:
                self._ready.popitem(last=False)
        return place

    def _look_again(self, request: BuildRequest, controllers: tuple[str, ...], place: Place, connected: bool) -> None:
        task = self._tasks.get(request.id)
        if self._names.get(request.id) is None or (task is not None and task.open):
            return
        if task is None:
            task = self._tasks[request.id] = _Task(request, controllers, place)
        elif time.monotonic() - task.looked < self._pace.recheck:
            return
        task.turn += 1
        task.looked = time.monotonic()
        task.open, task.reasons = set(controllers), {}
        for name in controllers:
            explain = partial(_look_and_explain, self._shelves[name], request, place, connected)
            self._ask(name, explain, partial(self._explained, task, task.turn, name))

    def _explained(self, task: _Task, turn: int, name: str, answer: str | OperatorError | None) -> None:
        if task.turn != turn or self._tasks.get(task.request.id) is not task:
            return
        task.open.discard(name)
        task.reasons[name] = reason_of(answer) if isinstance(answer, OperatorError) else answer or ""
        if not task.open:
            # where one only waits for a busy node, there is nothing to complain of
            busy = any(not reason for reason in task.reasons.values())
            self._waiting.stalled(task.request.id, "" if busy else together(task.reasons.values()))

    # How copies are removed.

    def _tidy(self) -> None:
        for name, desk in self._desks.items():
            question = partial(self._shelves[name].tidy, self._unused_for, self._leave)
            desk.ask(question, lambda _: None, partial(_not_tidied, name))
        self._box.later(self._pace.tidy, self._tidy)

    def _unused_for(self, name: str) -> float | None:
        with self._lock:
            if self._users.get(name):
                return None
            freed = self._freed.get(name)
        return float("inf") if freed is None else time.monotonic() - freed

    def _leave(self, name: str) -> bool:
        """Say whether nobody needs `name`; from then on whoever does has it made again. From the desk's thread."""
        with self._lock:
            if self._users.get(name):
                return False
            self._doubt(name)
            self._freed.pop(name, None)
            return True


def _look_and_explain(shelf: Shelf, request: BuildRequest, place: Place, connected: bool) -> str:
    shelf.look_again(request, place.copy, place.definition)
    return shelf.why(place.name, request.job.label, connected)


def _not_tidied(name: str, error: OperatorError) -> None:
    log.info("dispatch.copies_left", jenkins=name, reason=str(error))


def _identity(request: BuildRequest) -> _Identity:
    return request.project, request.branch, request.job, request.synced


@lru_cache(maxsize=128)  # a job may be 1 MiB
def _read(xml: bytes) -> tuple[str, Mapping[str, str]]:
    """Return the digest of a job, and the defaults of the parameters that it declares. Asked at each build, for the same few jobs."""
    return digest(xml), declared(xml)
