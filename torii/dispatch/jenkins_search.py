"""Finds out where builds are, by asking Jenkins for their TORII_UUID: in one request a controller for all that run, a few for the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Event, Lock

from torii.dispatch.jenkins_desk import Desk
from torii.dispatch.mailbox import Call
from torii.errors import OperatorError
from torii.jenkins import Build, Controller, JenkinsMissingError, Queued
from torii.model.ids import BuildId

_SEEKERS = 4
"""Questions that are put to one controller at a time: one for a build that it does not know takes a moment."""

_FEW = 3
"""Builds of one job that are asked for one by one."""

_BETWEEN = 0.3
"""Seconds after which a build that has left the queue is to be seen: it was 0.05 s where nothing else went on."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """Where a build was seen."""

    controller: str
    found: Build | Queued

    @property
    def rank(self) -> int:
        """Which of several sightings counts: one that runs, one that is about to, one that has ended."""
        if isinstance(self.found, Queued):
            return 1
        return 2 if self.found.running else 0


Told = Callable[[Sighting | None, str], None]
"""Called with the sighting, or why one of the controllers could not be asked; with neither where all of them know nothing."""


@dataclass(slots=True)
class _Question:
    build: BuildId
    job: str
    told: Told
    open: set[str]
    sightings: list[Sighting] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


class Search:
    """Questions about builds, of which each controller has several under way. `post` brings the answers to the asker's thread."""

    def __init__(self, controllers: Mapping[str, Controller], post: Callable[[Call], None]) -> None:
        self._post = post
        self._desks = {name: [Desk(one, f"-search-{number}") for number in range(_SEEKERS)] for name, one in controllers.items()}
        self._turn = 0
        self._lock = Lock()
        self._waiting: dict[str, list[_Question]] = {name: [] for name in controllers}

    def start(self) -> None:
        for desk in self._all():
            desk.start()

    def stop(self, timeout: float) -> None:
        """Answer nothing more; waits up to `timeout` seconds in all."""
        desks = self._all()
        for desk in desks:
            desk.stop(timeout / len(desks))

    def _all(self) -> list[Desk]:
        return [desk for desks in self._desks.values() for desk in desks]

    def ask(self, build: BuildId, job: str, controllers: Sequence[str], told: Told) -> None:
        """Ask `controllers` for `build`, which is of `job`. Questions that come while one waits are asked together."""
        question = _Question(build, job, told, set(controllers))
        for name in controllers:
            with self._lock:
                self._waiting[name].append(question)
                first = len(self._waiting[name]) == 1
            if first:
                self._look(name)

    def _look(self, name: str) -> None:
        """Ask for all that runs, and then for each that does not."""
        desk = self._desks[name][0]
        taken: list[_Question] = []

        def look() -> Mapping[str, Build]:
            with self._lock:
                taken.extend(self._waiting[name])
                self._waiting[name].clear()
            return desk.controller.running()

        def told(running: Mapping[str, Build]) -> None:
            left: dict[str, list[_Question]] = {}
            for question in taken:
                if question.build in running:
                    self._answer(question, name, running[question.build])
                else:
                    left.setdefault(question.job, []).append(question)
            for questions in left.values():
                self._sift(name, questions)

        def failed(error: OperatorError) -> None:
            for question in taken:
                self._answer(question, name, error)

        desk.ask(look, told, failed)

    def _sift(self, name: str, questions: list[_Question]) -> None:
        """Ask for builds of one job that do not run: each by itself, or all at once where they are many."""
        if len(questions) <= _FEW:
            for question in questions:
                self._seek(name, [question], partial(_find, question))
        else:
            self._seek(name, questions, partial(_find_all, questions))

    def _seek(self, name: str, questions: list[_Question], seek: Callable[[Controller], list[Build | Queued | None]]) -> None:
        self._turn += 1
        desk = self._desks[name][self._turn % _SEEKERS]

        def told(answers: list[Build | Queued | None]) -> None:
            for question, answer in zip(questions, answers, strict=True):
                self._answer(question, name, answer)

        def failed(error: OperatorError) -> None:
            for question in questions:
                self._answer(question, name, error)

        desk.ask(lambda: seek(desk.controller), told, failed)

    def _answer(self, question: _Question, name: str, answer: Build | Queued | OperatorError | None) -> None:
        self._post(partial(_take, question, name, answer))


def _take(question: _Question, name: str, answer: Build | Queued | OperatorError | None) -> None:
    question.open.discard(name)
    if isinstance(answer, OperatorError):
        question.troubles.append(str(answer))
    elif answer is not None and not (isinstance(answer, Queued) and answer.cancelled):
        question.sightings.append(Sighting(name, answer))
    if not question.open:
        best = max(question.sightings, key=lambda sighting: sighting.rank, default=None)
        question.told(best, "; ".join(dict.fromkeys(question.troubles)))


def _find(question: _Question, controller: Controller) -> list[Build | Queued | None]:
    try:
        return [controller.find(question.job, question.build)]
    except JenkinsMissingError:
        return [None]


def _find_all(questions: list[_Question], controller: Controller) -> list[Build | Queued | None]:
    """Return what there is of builds of one job: as `Controller.find` does, which is asked for one, but in a few requests for all."""
    found: dict[str, Build | Queued] = {}
    for again in (False, True):
        if again:
            Event().wait(_BETWEEN)
            found |= controller.running()
        waiting: dict[str, Build | Queued] = {item.uuid: item for item in controller.queue() if not item.cancelled}
        found = waiting | found
        found |= controller.recent(questions[0].job)
        if all(question.build in found for question in questions):
            break
    return [found.get(question.build) for question in questions]
