"""Looks after builds that are said to run, in one request a controller: Gearman does not tell of every end, nor of every start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol, TypeVar

import structlog

from torii.dispatch.flight import Flight, Phase
from torii.dispatch.jenkins_desk import Desk
from torii.dispatch.tower import Tower
from torii.errors import OperatorError
from torii.jenkins import Build
from torii.results.run import Run

log = structlog.get_logger()

T = TypeVar("T")

_MISSED = 2
"""Looks in a row that have to miss a build whose end would be heard on the wire, a moment later perhaps."""


class Looker(Protocol):
    """Who is told what a look shows."""

    def is_jenkins(self, flight: Flight) -> bool: ...
    def run_of(self, flight: Flight) -> Run | None: ...
    def runs_in(self, flight: Flight, controller: str) -> bool: ...
    def seen(self, flight: Flight) -> None: ...
    def silent(self, flight: Flight) -> None: ...
    def seen_running(self, flight: Flight, controller: str, found: Build) -> None: ...
    def drift(self, flight: Flight) -> None: ...
    def outage(self, flight: Flight, reason: str) -> None: ...


class Rounds:
    """On the tower's thread, but for the questions."""

    def __init__(self, desks: Mapping[str, Desk], tower: Tower, looker: Looker) -> None:
        self._desks = desks
        self._tower = tower
        self._looker = looker
        self._watching = False
        self.quiet: set[str] = set()
        """Controllers that were about to shut down at the last sweep, as far as anything waited for them."""

    def watch(self) -> None:
        """Look every few seconds, for as long as there are builds of which nothing can be heard on the wire."""
        if not self._watching:
            self._watching = True
            self._tower.box.later(self._tower.pace.watch, self._watch)

    def _watch(self) -> None:
        watched = [flight for flight in self._flights() if flight.phase is Phase.WATCHED]
        self._watching = False
        if watched:
            self._look({run.controller for flight in watched if (run := self._looker.run_of(flight)) is not None})
            self.watch()

    def sweep(self) -> None:
        """Look once, wherever a build is that Gearman has."""
        submitted = [flight for flight in self._flights() if flight.phase is Phase.SUBMITTED]
        self._look({name for name in self._desks for flight in submitted if self._looker.runs_in(flight, name)})
        waiting = [flight for flight in submitted if flight.waits]
        awaited = {name for name in self._desks for flight in waiting if self._looker.runs_in(flight, name)}
        self.quiet &= awaited
        for name in awaited:
            desk = self._desks[name]
            desk.ask(desk.controller.quieting_down, partial(self._post, self._heard_quiet, name), lambda _: None)

    def _heard_quiet(self, name: str, quiet: bool) -> None:
        (self.quiet.add if quiet else self.quiet.discard)(name)

    def _flights(self) -> list[Flight]:
        return [flight for flight in self._tower.flights.values() if self._looker.is_jenkins(flight)]

    def _look(self, names: set[str]) -> None:
        for name in names:
            desk = self._desks[name]
            desk.ask(desk.controller.running, partial(self._post, self._looked, name), partial(self._post, self._failed, name))

    def _post(self, call: Callable[[str, T], None], name: str, answer: T) -> None:
        self._tower.post(partial(call, name, answer))

    def _looked(self, name: str, running: Mapping[str, Build]) -> None:
        for flight in self._flights():
            found, run = running.get(flight.id), self._looker.run_of(flight)
            if run is None:
                self._unheard(flight, name, found)
            elif run.controller == name:
                self._expected(flight, found is not None and found.number == run.number)

    def _unheard(self, flight: Flight, name: str, found: Build | None) -> None:
        """Where it runs was not heard, or not understood."""
        if found is not None and flight.phase is Phase.SUBMITTED:
            flight.missed += 1
            if flight.missed >= _MISSED:
                flight.missed = 0
                self._looker.seen_running(flight, name, found)

    def _expected(self, flight: Flight, there: bool) -> None:
        if flight.phase is Phase.WATCHED:
            if there:
                self._looker.seen(flight)
            else:
                self._looker.drift(flight)
        elif flight.phase is Phase.SUBMITTED:
            flight.missed = 0 if there else flight.missed + 1
            if there:
                self._looker.seen(flight)
            elif flight.missed >= _MISSED:
                flight.missed = 0
                self._looker.silent(flight)

    def _failed(self, name: str, error: OperatorError) -> None:
        log.info("dispatch.running_builds_not_seen", jenkins=name, reason=str(error))
        for flight in self._flights():
            run = self._looker.run_of(flight)
            if flight.phase in (Phase.WATCHED, Phase.SUBMITTED) and run is not None and run.controller == name:
                flight.missed = 0
                self._looker.outage(flight, str(error))
