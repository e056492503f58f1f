"""Builds on Torii's own workers: they are told of jobs, they leave a record, and they can be asked for a build over Gearman."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial

import structlog

from torii.dispatch import wire
from torii.dispatch.away import Away
from torii.dispatch.definitions import Definitions
from torii.dispatch.flight import Flight, Phase
from torii.dispatch.inquiry import Inquiry, signed
from torii.dispatch.listeners import StopListener
from torii.dispatch.tower import Tower
from torii.gearman import JobHandle
from torii.gearman.functions import stop_function
from torii.model.build import Result
from torii.model.ids import BuildId
from torii.model.pipeline import Precedence

log = structlog.get_logger()

_MISSED = 2
_STOP_PAUSE = 5.0
_STOPS = 5
_WATCH_PAUSE = 1.0
_WATCHES = 10


class OwnWorkers:
    """`torii.dispatch.flight.Side` of what no Jenkins is configured for. Whoever has registered a function may run it, a Jenkins too."""

    def __init__(self, tower: Tower, definitions: Definitions) -> None:
        self._tower = tower
        self._definitions = definitions

    def prepare(self, flight: Flight) -> None:
        flight.phase, flight.waits = Phase.PREPARING, True
        function = self._definitions.lookup(flight.request)
        if function is not None:
            self.submit(flight, function)

    def submit(self, flight: Flight, function: str) -> None:
        self._tower.submit(flight, function)

    def started(self, flight: Flight, before: wire.Running | None) -> None:
        running = flight.running
        if before is not None and running is not None and before.identity != running.identity:
            log.warning("dispatch.run_again", build=flight.id, before=before.number, now=running.number, node=running.worker)
        self._tower.announce(flight)

    def complete(self, flight: Flight, data: bytes) -> None:
        outcome = self._tower.outcome(flight)
        result = outcome.result if outcome else wire.result(data)
        if result is None:
            self._tower.finish(flight, Result.LOST, "the worker ended the build without a result")
        else:
            self._tower.finish(flight, result, "", outcome)

    def broke(self, flight: Flight, detail: str) -> None:
        """Before the start the worker refused it, after it the worker is gone."""
        if self._tower.ended_already(flight):
            return
        if flight.stop_reason is not None and flight.running is None:
            # the echo of our cancelling; a C gearmand also "cancels" what a worker has just taken
            self.give_up(flight)
            return
        silent = f"{flight.running.worker or 'the worker'} was lost while it ran the build" if flight.running else "the worker gave it up"
        self._tower.finish(flight, Result.LOST, detail or silent)

    def over(self, flight: Flight) -> None:
        self._definitions.release(flight.id)
        for handle in flight.stop_handles[:]:
            self._definitions.withdraw(handle)

    # How a build is found again whose server was lost.

    def drift(self, flight: Flight) -> None:
        pace = self._tower.pace
        self._tower.drift(flight, pace.settle if self._tower.client.connected else pace.patience)

    def reconnected(self, flight: Flight) -> None:
        """The server may know nothing, and workers come back to it one after another."""
        flight.adrift_at = time.monotonic()
        self._tower.search(flight, self._tower.pace.settle)

    def look(self, flight: Flight) -> None:
        self._tower.search(flight, self._tower.pace.patience)  # should nobody answer
        if not self._tower.client.connected:
            self._tower.stalled(flight.id, Away("no Gearman server can be reached"))
            return
        ask = partial(self._ask, flight.id, flight.turn)
        self._definitions.managers(lambda managers: self._tower.post(partial(ask, managers)))

    def _ask(self, build: BuildId, turn: int, managers: frozenset[str]) -> None:
        flight = self._tower.find(build, turn)
        if flight is None:
            return
        asked = managers
        if flight.running is not None:
            asked = managers & {flight.running.manager}
            if not asked and time.monotonic() - flight.adrift_at < self._tower.pace.patience:
                self._tower.search(flight, _WATCH_PAUSE)
                return
        if not asked:
            self._ask_server(flight)
            return
        told = partial(self._told, build, turn)
        inquiry = Inquiry(lambda manager: self._tower.post(partial(told, manager)))
        inquiry.ask(self._tower.client, self._tower.key, flight.request, flight.running, asked)

    def _told(self, build: BuildId, turn: int, manager: str | None) -> None:
        flight = self._tower.find(build, turn)
        if flight is None or self._tower.ended_already(flight):
            return
        if manager is None:
            self._ask_server(flight)
            return
        log.info("dispatch.adopted", build=build, manager=manager)
        flight.phase, flight.waits = Phase.WATCHED, False
        flight.running = flight.running or wire.Running("", 0, manager, manager)
        self._tower.announce(flight)
        self._watch(build, flight.turn, _WATCHES)

    def _ask_server(self, flight: Flight) -> None:
        # the same unique id: a server that has the job yet makes no second one of it
        log.info("dispatch.asked_again", build=flight.id, had_started=flight.announced)
        self.prepare(flight)

    def _watch(self, build: BuildId, turn: int, left: int) -> None:
        """Wait for the outcome that the worker leaves; now and then ask whether it still is at it."""
        flight = self._tower.find(build, turn, Phase.WATCHED)
        if flight is None or self._tower.ended_already(flight):
            return
        if left:
            self._tower.box.later(_WATCH_PAUSE, partial(self._watch, build, turn, left - 1))
        else:
            self.drift(flight)

    def missing(self, flight: Flight, present: frozenset[str]) -> bool:
        """Count whether the worker of a running flight is `present`; return whether it was not for so long that it is taken for lost.

        A C gearmand does not tell that a worker has gone: it keeps the job for the next one, which may never come.
        """
        if flight.running is None or not self._definitions.has_met(flight.running.manager):
            return False
        flight.missed = 0 if flight.running.manager in present else flight.missed + 1
        return flight.missed >= _MISSED

    # How a build is stopped.

    def stop(self, flight: Flight) -> None:
        if flight.running is not None:
            self._send_stop(flight.id, flight.running, {flight.running.manager}, flight.stop_handles)

    def give_up(self, flight: Flight) -> None:
        if flight.running is not None:
            self._send_stop(flight.id, flight.running, {flight.running.manager}, [])
        elif flight.attempt or flight.phase is Phase.ADRIFT:
            self.stop_everywhere(flight.id)
        self._tower.finish(flight, Result.CANCELED, "")

    def stop_everywhere(self, build: BuildId, left: int = _STOPS) -> None:
        """Tell every worker there is to end `build`; where there is none yet, look for some `left` times more."""

        def found(managers: frozenset[str]) -> None:
            self._send_stop(build, None, managers, [])
            if not managers and left:
                self._tower.box.later(_STOP_PAUSE, partial(self.stop_everywhere, build, left - 1))

        self._definitions.managers(lambda managers: self._tower.post(partial(found, managers)))

    def cancelled(self, flight: Flight) -> None:
        pass  # should a worker have taken it, something is heard of it yet

    def late(self, flight: Flight, running: wire.Running | None) -> None:
        """A C gearmand also "cancels" what runs: then the worker must be told."""
        managers = {running.manager} if running else self._definitions.known_managers
        self._send_stop(flight.id, running, managers, [])

    def _send_stop(self, build: BuildId, running: wire.Running | None, managers: Iterable[str], handles: list[JobHandle]) -> None:
        for manager in managers:
            data = signed(self._tower.key, build, running)
            self._tower.client.submit(stop_function(manager), data, f"stop-{build}", Precedence.HIGH, StopListener(handles))
