"""Builds over Gearman. One thread owns what is known of each build; everything that happens is posted to it and nothing there blocks.

Knows nothing of what a build means: it brings a request to a worker, and what became of it back, exactly once, whatever breaks. A
build that a worker may be running is never submitted again before that worker has been asked.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from functools import partial

import structlog

from torii.dispatch import wire
from torii.dispatch.definitions import Definitions, Library, Pace
from torii.dispatch.flight import Flight, Phase
from torii.dispatch.inquiry import Inquiry, signed
from torii.dispatch.listeners import Act, BuildListener, StopListener
from torii.dispatch.mailbox import Mailbox
from torii.dispatch.parameters import payload
from torii.gearman import Client, GearmanUnavailableError, JobHandle
from torii.gearman.functions import stop_function
from torii.model.build import BuildRequest, Result
from torii.model.event import BuildDone, BuildStalled, BuildStarted, Event
from torii.model.ids import BuildId, ProjectName
from torii.model.pipeline import Precedence
from torii.runtime.ports import Outcome, Post, Results

log = structlog.get_logger()

_REMEMBERED = 10_000
_SWEEP = 15.0
_MISSED = 2
_STOP_PAUSE = 5.0
_STOPS = 5
_WATCH_PAUSE = 1.0
_WATCHES = 10


class GearmanDispatcher:
    """`torii.runtime.ports.Dispatcher` on Gearman servers, embedded or C gearmand alike.

    `client` becomes the dispatcher's own. `staging` has the URL, without credentials, from which builds of a project fetch.
    """

    def __init__(
        self,
        client: Client,
        post: Post,
        library: Library,
        results: Results,
        key: bytes,
        staging: Mapping[ProjectName, str],
        pace: Pace | None = None,
    ) -> None:
        self._client = client
        self._post = post
        self._results = results
        self._key = key
        self._staging = staging
        self._pace = pace or Pace()
        self._box = Mailbox("dispatch")
        self._definitions = Definitions(client, library, key, self, self._pace)
        self._flights: dict[BuildId, Flight] = {}
        self._ended: OrderedDict[BuildId, None] = OrderedDict()
        self._cancelled: OrderedDict[BuildId, JobHandle] = OrderedDict()
        self._box.start()
        self._definitions.start()
        self._box.post(self._sweep)
        client.on_connect(lambda: self._box.post(self._reconnected))

    # The port. Each call is carried out on the mailbox's thread.

    def start(self, request: BuildRequest) -> None:
        self._box.post(partial(self._start, request))

    def stop_build(self, build: BuildId, reason: str) -> None:
        self._box.post(partial(self._stop_build, build, reason))

    def reconcile(self, expected: Iterable[BuildRequest]) -> None:
        for request in expected:
            self._box.post(partial(self._find, request))

    def stop(self, timeout: float) -> None:
        self._box.stop(timeout / 3)
        self._definitions.stop(timeout / 3)
        self._client.stop()

    # What `Definitions` tells, on its thread.

    def ready(self, build: BuildId, function: str) -> None:
        self._on(build, Phase.PREPARING, lambda flight: self._submit(flight, function))

    def refused(self, build: BuildId, reason: str, users_fault: bool) -> None:
        result = Result.NOT_BUILT if users_fault else Result.LOST
        self._on(build, Phase.PREPARING, lambda flight: self._finish(flight, result, reason))

    def stalled(self, build: BuildId, reason: str) -> None:
        self._box.post(partial(self._stalled, build, reason))

    # Everything below is on the mailbox's thread, but `heard` and `_cancel`. First: how a build begins.

    def _start(self, request: BuildRequest) -> None:
        flight = self._new(request)
        if flight is not None:
            self._prepare(flight)

    def _find(self, request: BuildRequest) -> None:
        """Take up a build that another life of this process asked for, or meant to."""
        flight = self._new(request)
        if flight is not None:
            self._drift(flight)

    def _new(self, request: BuildRequest) -> Flight | None:
        """Return a flight for `request`, or None where it has one, or has ended."""
        if request.id in self._flights or request.id in self._ended:
            return None
        flight = self._flights[request.id] = Flight(request)
        return None if self._ended_already(flight) else flight

    def _prepare(self, flight: Flight) -> None:
        flight.phase, flight.waits = Phase.PREPARING, True
        function = self._definitions.lookup(flight.request)
        if function is not None:
            self._submit(flight, function)

    def _submit(self, flight: Flight, function: str) -> None:
        request = flight.request
        try:
            data = payload(request, self._staging.get(request.project, ""), self._results.url(request.id), self._key)
        except ValueError as error:
            self._finish(flight, Result.NOT_BUILT, str(error))
            return
        flight.phase, flight.handle = Phase.SUBMITTED, None
        flight.attempt += 1
        self._client.submit(function, data, request.id, request.precedence, BuildListener(self, flight.id, flight.attempt))

    def _stalled(self, build: BuildId, reason: str) -> None:
        flight = self._flights.get(build)
        if flight is not None and flight.waits and flight.stalled != reason:
            flight.stalled = reason
            self._tell(BuildStalled(build, reason))

    # What the Gearman server says of a build.

    def heard(self, build: BuildId, attempt: int, act: Act, otherwise: Callable[[], None] | None = None) -> None:
        """Have `act` done with the build if `attempt` still is its latest, else `otherwise`. From any thread."""

        def do() -> None:
            flight = self._flights.get(build)
            if flight is not None and flight.attempt == attempt and flight.phase is Phase.SUBMITTED:
                act(flight)
            elif otherwise is not None:
                otherwise()

        self._box.post(do)

    def created(self, flight: Flight, handle: JobHandle) -> None:
        flight.handle = handle
        if flight.stop_reason is not None:
            self._end_it(flight)

    def data(self, flight: Flight, data: bytes) -> None:
        """WORK_DATA: it runs. Anything may follow the first one; a new number means that the server gave it to another worker."""
        running = wire.running(data)
        if running is None:
            log.warning("dispatch.strange_data", build=flight.id, data=data[:200])
            return
        before, flight.running = flight.running, running
        if before is not None and before.identity != running.identity:
            log.warning("dispatch.run_again", build=flight.id, before=before.number, now=running.number, node=running.worker)
        flight.waits, flight.stalled = False, ""
        self._definitions.release(flight.id)
        self._announce(flight)
        if flight.stop_reason is not None and (before is None or before.identity != running.identity):
            self._end_it(flight)

    def complete(self, flight: Flight, data: bytes) -> None:
        if flight.running is None and wire.running(data) is not None:
            self.data(flight, data)  # taken over from an earlier connection, which heard of the start
        outcome = self._outcome(flight)
        result = outcome.result if outcome else wire.result(data)
        if result is None:
            self._finish(flight, Result.LOST, "the worker ended the build without a result")
        else:
            self._finish(flight, result, "", outcome)

    def broke(self, flight: Flight, detail: str) -> None:
        """WORK_FAIL or WORK_EXCEPTION: before the start the worker refused it, after it the worker is gone."""
        if self._ended_already(flight):
            return
        if flight.stop_reason is not None and flight.running is None:
            # the echo of our cancelling; a C gearmand also "cancels" what a worker has just taken
            self._give_up(flight)
            return
        silent = f"{flight.running.worker or 'the worker'} was lost while it ran the build" if flight.running else "the worker gave it up"
        self._finish(flight, Result.LOST, detail or silent)

    def lost(self, flight: Flight) -> None:
        self._drift(flight)

    # How a build is found again whose server was lost.

    def _drift(self, flight: Flight) -> None:
        flight.phase, flight.handle, flight.adrift_at = Phase.ADRIFT, None, time.monotonic()
        self._search(flight, self._pace.settle if self._client.connected else self._pace.patience)

    def _reconnected(self) -> None:
        """A server came back. It may know nothing, and workers come back to it one after another."""
        self._definitions.forget()
        for flight in self._flights.values():
            if flight.phase is Phase.ADRIFT:
                flight.adrift_at = time.monotonic()
                self._search(flight, self._pace.settle)

    def _search(self, flight: Flight, after: float) -> None:
        flight.turn += 1
        self._box.later(after, partial(self._resume, flight.id, flight.turn))

    def _resume(self, build: BuildId, turn: int) -> None:
        flight = self._flights.get(build)
        if flight is None or flight.turn != turn or flight.phase is not Phase.ADRIFT or self._ended_already(flight):
            return
        if flight.stop_reason is not None:
            self._give_up(flight)
            return
        self._search(flight, self._pace.patience)  # should nobody answer
        if not self._client.connected:
            self._stalled(build, "no Gearman server can be reached")
            return
        ask = partial(self._ask, build, flight.turn)
        self._definitions.managers(lambda managers: self._box.post(partial(ask, managers)))

    def _ask(self, build: BuildId, turn: int, managers: frozenset[str]) -> None:
        flight = self._flights.get(build)
        if flight is None or flight.turn != turn:
            return
        asked = managers
        if flight.running is not None:
            asked = managers & {flight.running.manager}
            if not asked and time.monotonic() - flight.adrift_at < self._pace.patience:
                self._search(flight, _WATCH_PAUSE)
                return
        if not asked:
            self._ask_server(flight)
            return
        told = partial(self._told, build, turn)
        Inquiry(lambda manager: self._box.post(partial(told, manager))).ask(self._client, self._key, flight.request, flight.running, asked)

    def _told(self, build: BuildId, turn: int, manager: str | None) -> None:
        flight = self._flights.get(build)
        if flight is None or flight.turn != turn or self._ended_already(flight):
            return
        if manager is None:
            self._ask_server(flight)
            return
        log.info("dispatch.adopted", build=build, manager=manager)
        flight.phase, flight.waits = Phase.WATCHED, False
        flight.running = flight.running or wire.Running("", 0, manager, manager)
        self._announce(flight)
        self._watch(build, flight.turn, _WATCHES)

    def _ask_server(self, flight: Flight) -> None:
        # the same unique id: a server that has the job yet makes no second one of it
        log.info("dispatch.asked_again", build=flight.id, had_started=flight.announced)
        self._prepare(flight)

    def _watch(self, build: BuildId, turn: int, left: int) -> None:
        """Wait for the outcome that the worker leaves; now and then ask whether it still is at it."""
        flight = self._flights.get(build)
        if flight is None or flight.turn != turn or flight.phase is not Phase.WATCHED or self._ended_already(flight):
            return
        if left:
            self._box.later(_WATCH_PAUSE, partial(self._watch, build, turn, left - 1))
        else:
            self._drift(flight)

    def _sweep(self) -> None:
        """Level-triggered: ask after whatever has been silent, so that nothing waits for an answer that got lost."""
        for flight in list(self._flights.values()):
            if flight.phase is Phase.ADRIFT:
                self._ended_already(flight)
            elif flight.handle is not None:
                self._client.ask_after(flight.handle)
        for handle in self._cancelled.values():
            self._client.ask_after(handle)
        self._cancelled.clear()
        self._definitions.managers(lambda present: self._box.post(partial(self._miss, present)))
        self._box.later(_SWEEP, self._sweep)

    def _miss(self, present: frozenset[str]) -> None:
        """A C gearmand does not tell that a worker has gone: it keeps the job for the next one, which may never come."""
        for flight in list(self._flights.values()):
            if flight.phase is not Phase.SUBMITTED or flight.running is None or not self._definitions.has_met(flight.running.manager):
                continue
            flight.missed = 0 if flight.running.manager in present else flight.missed + 1
            if flight.missed >= _MISSED and not self._ended_already(flight):
                if flight.handle is not None:
                    self._cancelled[flight.id] = flight.handle
                    self._definitions.run(partial(self._withdraw, flight.handle))
                self._finish(flight, Result.LOST, f"{flight.running.worker} ran the build and has not been seen for long")

    # How a build is stopped.

    def _stop_build(self, build: BuildId, reason: str) -> None:
        flight = self._flights.get(build)
        if flight is None:
            if build not in self._ended:  # of another life of this process
                self._remember(build)
                self._stop_everywhere(build, _STOPS)
                self._tell(BuildDone(build, Result.CANCELED, detail=reason))
            return
        if flight.stop_reason is not None:
            return
        flight.stop_reason = reason
        if flight.phase in (Phase.PREPARING, Phase.ADRIFT):
            self._give_up(flight)
        else:
            self._end_it(flight)

    def _give_up(self, flight: Flight) -> None:
        """End a build that no server has: what may run somewhere is told to stop, and not waited for."""
        if flight.running is not None:
            self._send_stop(flight.id, flight.running, {flight.running.manager}, [])
        elif flight.attempt or flight.phase is Phase.ADRIFT:
            self._stop_everywhere(flight.id, _STOPS)
        self._finish(flight, Result.CANCELED, "")

    def _stop_everywhere(self, build: BuildId, left: int) -> None:
        """Tell every worker there is to end `build`; where there is none yet, look for some `left` times more."""

        def found(managers: frozenset[str]) -> None:
            self._send_stop(build, None, managers, [])
            if not managers and left:
                self._box.later(_STOP_PAUSE, partial(self._stop_everywhere, build, left - 1))

        self._definitions.managers(lambda managers: self._box.post(partial(found, managers)))

    def _end_it(self, flight: Flight) -> None:
        """Take the next step towards the end of a build that is to be stopped; repeated until it has ended, or given up."""
        flight.stops += 1
        if flight.stops > _STOPS:
            self._finish(flight, Result.CANCELED, f"{flight.stop_reason}; its worker did not answer the request to stop")
            return
        if flight.running is not None:
            self._send_stop(flight.id, flight.running, {flight.running.manager}, flight.stop_handles)
        elif flight.handle is not None:
            self._definitions.run(partial(self._cancel, flight.id, flight.attempt, flight.handle))
        self._box.later(_STOP_PAUSE, partial(self._insist, flight.id, flight.stops))

    def _insist(self, build: BuildId, stops: int) -> None:
        flight = self._flights.get(build)
        if flight is not None and flight.stops == stops:
            self._end_it(flight)

    def _cancel(self, build: BuildId, attempt: int, handle: JobHandle) -> None:
        """Take a waiting job out of its server's queue. On the definitions' thread, since it blocks."""
        try:
            cancelled = self._client.cancel(handle)
        except GearmanUnavailableError as error:
            log.warning("dispatch.cancel_failed", build=build, error=str(error))
            return
        if cancelled:
            self.heard(build, attempt, partial(self._was_cancelled, handle=handle))

    def _was_cancelled(self, flight: Flight, handle: JobHandle) -> None:
        if flight.running is not None:
            return  # it started just then: its end comes through stop:<manager>
        self._cancelled[flight.id] = handle
        self._finish(flight, Result.CANCELED, "")

    def late(self, build: BuildId, running: wire.Running | None, over: bool) -> None:
        """Something was heard of a cancelled build. A C gearmand also "cancels" what runs: then the worker must be told."""
        if build in self._cancelled and (running is not None or over):
            managers = {running.manager} if running else self._definitions.known_managers
            self._send_stop(build, running, managers, [])

    def _send_stop(self, build: BuildId, running: wire.Running | None, managers: Iterable[str], handles: list[JobHandle]) -> None:
        for manager in managers:
            data = signed(self._key, build, running)
            self._client.submit(stop_function(manager), data, f"stop-{build}", Precedence.HIGH, StopListener(handles))

    def _withdraw(self, handle: JobHandle) -> None:
        """Leave no request behind for a worker that comes back next week."""
        try:
            self._client.cancel(handle)
        except GearmanUnavailableError as error:
            log.debug("dispatch.cancel_failed", error=str(error))

    # How a build ends.

    def _ended_already(self, flight: Flight) -> bool:
        """Answer for `flight` if it has left an outcome."""
        outcome = self._outcome(flight)
        if outcome is not None:
            self._finish(flight, outcome.result, "", outcome)
        return outcome is not None

    def _outcome(self, flight: Flight) -> Outcome | None:
        try:
            return self._results.outcome(flight.id)
        except Exception:
            log.exception("dispatch.outcome_unreadable", build=flight.id)
            return None

    def _finish(self, flight: Flight, result: Result, detail: str, outcome: Outcome | None = None) -> None:
        """Answer `BuildDone` and forget the build."""
        del self._flights[flight.id]
        self._remember(flight.id)
        self._definitions.release(flight.id)
        for handle in flight.stop_handles[:]:
            self._definitions.run(partial(self._withdraw, handle))
        ran = flight.announced or outcome is not None
        outcome = outcome or Outcome(result)
        detail = detail or outcome.detail
        if flight.stop_reason is not None:
            result, detail = Result.CANCELED, detail or flight.stop_reason
        url = outcome.url or (self._results.url(flight.id) if ran else None)
        log.info("dispatch.build_done", build=flight.id, result=result.value, detail=detail)
        self._tell(BuildDone(flight.id, result, outcome.duration, detail, outcome.tests, url, outcome.comments))

    def _remember(self, build: BuildId) -> None:
        self._ended[build] = None
        while len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)

    def _announce(self, flight: Flight) -> None:
        running = flight.running
        if running is not None and not flight.announced:
            flight.announced = True
            url = running.url or self._results.url(flight.id)
            self._tell(BuildStarted(flight.id, node=running.worker, number=running.number or None, url=url))

    def _on(self, build: BuildId, phase: Phase, act: Act) -> None:
        def do() -> None:
            flight = self._flights.get(build)
            if flight is not None and flight.phase is phase:
                act(flight)

        self._box.post(do)

    def _tell(self, event: Event) -> None:
        self._post([event])
