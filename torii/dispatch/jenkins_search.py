"""Finds out where builds are, by asking Jenkins for their TORII_UUID: one request a controller for all that run, one for each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Lock

from torii.dispatch.jenkins_desk import Desk
from torii.dispatch.mailbox import Call
from torii.errors import OperatorError
from torii.jenkins import Build, JenkinsMissingError, Queued
from torii.model.ids import BuildId


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
    """Questions about builds. `post` brings the answers to the asker's thread."""

    def __init__(self, desks: Mapping[str, Desk], post: Callable[[Call], None]) -> None:
        self._desks = desks
        self._post = post
        self._lock = Lock()
        self._waiting: dict[str, list[_Question]] = {name: [] for name in desks}
        self._asked: dict[str, list[_Question]] = {name: [] for name in desks}

    def ask(self, build: BuildId, job: str, controllers: Sequence[str], told: Told) -> None:
        """Ask `controllers` for `build`, which is of `job`. Questions that come while one is busy are asked together."""
        question = _Question(build, job, told, set(controllers))
        for name in controllers:
            with self._lock:
                self._waiting[name].append(question)
                first = len(self._waiting[name]) == 1
            if first:
                desk = self._desks[name]
                desk.ask(partial(self._look, desk), partial(self._answered, name), partial(self._failed, name))

    def _look(self, desk: Desk) -> list[Build | Queued | OperatorError | None]:
        with self._lock:
            questions, self._waiting[desk.name] = self._waiting[desk.name], []
        self._asked[desk.name] = questions
        running = desk.controller.running()
        return [running.get(question.build) or _find(desk, question) for question in questions]

    def _answered(self, name: str, answers: Sequence[Build | Queued | OperatorError | None]) -> None:
        for question, answer in zip(self._asked[name], answers, strict=True):
            self._post(partial(self._take, question, name, answer))

    def _failed(self, name: str, error: OperatorError) -> None:
        self._answered(name, [error] * len(self._asked[name]))

    def _take(self, question: _Question, name: str, answer: Build | Queued | OperatorError | None) -> None:
        question.open.discard(name)
        if isinstance(answer, OperatorError):
            question.troubles.append(str(answer))
        elif answer is not None and not (isinstance(answer, Queued) and answer.cancelled):
            question.sightings.append(Sighting(name, answer))
        if not question.open:
            best = max(question.sightings, key=lambda sighting: sighting.rank, default=None)
            question.told(best, "; ".join(dict.fromkeys(question.troubles)))


def _find(desk: Desk, question: _Question) -> Build | Queued | OperatorError | None:
    try:
        return desk.controller.find(question.job, question.build)
    except JenkinsMissingError:
        return None
    except OperatorError as error:
        return error
