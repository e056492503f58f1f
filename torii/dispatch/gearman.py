"""Builds over Gearman. One thread owns what is known of each build; everything that happens is posted to it and nothing there blocks.

Knows nothing of what a build means: it brings a request to a worker, and what became of it back, exactly once, whatever breaks. A
build that a worker may be running is never submitted again before that worker has been asked. How that is done differs: see
`torii.dispatch.own_workers` for Torii's own, `torii.dispatch.jenkins_builds` for Jenkins with its Gearman plug-in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial

import structlog

from torii.dispatch import wire
from torii.dispatch.definitions import Definitions, Library
from torii.dispatch.farm import JenkinsFarm
from torii.dispatch.flight import Flight, Phase, Side
from torii.dispatch.jenkins_builds import JenkinsBuilds
from torii.dispatch.listeners import Act
from torii.dispatch.own_workers import OwnWorkers
from torii.dispatch.pace import Pace
from torii.dispatch.tower import Tower
from torii.gearman import Client, GearmanUnavailableError, JobHandle
from torii.model.build import BuildRequest, Result
from torii.model.event import BuildDone
from torii.model.ids import BuildId, ProjectName
from torii.runtime.ports import Post, Results

log = structlog.get_logger()

_SWEEP = 15.0
_STOP_PAUSE = 5.0
_STOPS = 5


class GearmanDispatcher:
    """`torii.runtime.ports.Dispatcher` on Gearman servers, embedded or C gearmand alike.

    `client` becomes the dispatcher's own. `staging` has the URL, without credentials, from which builds of a project fetch. Builds of the
    projects in `farm` run in Jenkins, all others on Torii's own workers.
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
        farm: JenkinsFarm | None = None,
    ) -> None:
        self._client = client
        self._tower = Tower(client, post, results, key, staging, pace)
        self._tower.hearer = self
        self._definitions = Definitions(client, library, key, self, self._tower.pace)
        self._own = OwnWorkers(self._tower, self._definitions)
        self._jenkins = JenkinsBuilds(self._tower, self._definitions, library, farm) if farm is not None else None
        self._cancelled: dict[BuildId, tuple[JobHandle, Flight]] = {}
        self._tower.box.start()
        self._definitions.start()
        if self._jenkins is not None:
            self._jenkins.start()
        self._tower.post(self._sweep)
        client.on_connect(lambda: self._tower.post(self._reconnected))

    # The port. Each call is carried out on the tower's thread.

    def start(self, request: BuildRequest) -> None:
        self._tower.post(partial(self._start, request))

    def stop_build(self, build: BuildId, reason: str) -> None:
        self._tower.post(partial(self._stop_build, build, reason))

    def reconcile(self, expected: Iterable[BuildRequest]) -> None:
        for request in expected:
            self._tower.post(partial(self._find, request))

    def stop(self, timeout: float) -> None:
        self._tower.box.stop(timeout / 4)
        self._definitions.stop(timeout / 4)
        if self._jenkins is not None:
            self._jenkins.close(timeout / 4)
        self._client.stop()

    def jobs_changed(self) -> None:
        """Somebody else, such as a sync, has written jobs in a Jenkins: what is known of them is looked up again. From any thread."""
        if self._jenkins is not None:
            self._jenkins.jobs_changed()

    # What `Definitions` tells, on its thread.

    def ready(self, build: BuildId, function: str) -> None:
        self._on(build, Phase.PREPARING, lambda flight: flight.side.submit(flight, function))

    def refused(self, build: BuildId, reason: str, users_fault: bool) -> None:
        result = Result.NOT_BUILT if users_fault else Result.LOST
        self._on(build, Phase.PREPARING, lambda flight: self._tower.finish(flight, result, reason))

    def stalled(self, build: BuildId, reason: str) -> None:
        self._tower.post(partial(self._stalled, build, reason))

    def _stalled(self, build: BuildId, reason: str) -> None:
        flight = self._tower.find(build)
        if flight is not None and flight.side is self._jenkins and not reason:
            self._jenkins.registered(flight)
        else:
            self._tower.stalled(build, reason)

    def unregistered(self, build: BuildId) -> None:
        if self._jenkins is not None:
            self._tower.post(partial(self._jenkins.unregistered, build))

    # Everything below is on the tower's thread, but `heard` and `_cancel`. First: how a build begins.

    def _side(self, request: BuildRequest) -> Side:
        return self._jenkins if self._jenkins is not None and self._jenkins.runs(request.project) else self._own

    def _start(self, request: BuildRequest) -> None:
        flight = self._tower.begin(request, self._side(request))
        if flight is not None:
            flight.side.prepare(flight)

    def _find(self, request: BuildRequest) -> None:
        """Take up a build that another life of this process asked for, or meant to."""
        flight = self._tower.begin(request, self._side(request))
        if flight is not None:
            flight.side.drift(flight)

    # What the Gearman server says of a build.

    def heard(self, build: BuildId, attempt: int, act: Act, otherwise: Callable[[], None] | None = None) -> None:
        """Have `act` done with the build if `attempt` still is its latest, else `otherwise`. From any thread."""

        def do() -> None:
            flight = self._tower.find(build, phase=Phase.SUBMITTED)
            if flight is not None and flight.attempt == attempt:
                act(flight)
            elif otherwise is not None:
                otherwise()

        self._tower.post(do)

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
        if flight.side is not self._own and self._definitions.has_met(running.manager):
            log.warning("dispatch.not_in_jenkins", build=flight.id, worker=running.worker)
            flight.side.over(flight)
            flight.side = self._own
        before, flight.running = flight.running, running
        flight.waits, flight.stalled = False, ""
        self._definitions.release(flight.id)
        flight.side.started(flight, before)
        news = before is None or before.identity != running.identity
        if news and flight.stop_reason is not None and self._tower.find(flight.id) is flight:
            self._end_it(flight)

    def complete(self, flight: Flight, data: bytes) -> None:
        if flight.running is None and wire.running(data) is not None:
            self.data(flight, data)  # taken over from an earlier connection, which heard of the start
        flight.side.complete(flight, data)

    def broke(self, flight: Flight, detail: str) -> None:
        flight.side.broke(flight, detail)

    def lost(self, flight: Flight) -> None:
        flight.side.drift(flight)

    def _reconnected(self) -> None:
        self._definitions.forget()
        for flight in list(self._tower.flights.values()):
            if flight.phase is Phase.ADRIFT:
                flight.side.reconnected(flight)

    def _sweep(self) -> None:
        """Level-triggered: ask after whatever has been silent, so that nothing waits for an answer that got lost."""
        for flight in list(self._tower.flights.values()):
            if flight.phase is Phase.ADRIFT:
                self._tower.ended_already(flight)
            elif flight.handle is not None:
                self._client.ask_after(flight.handle)
        for handle, _ in self._cancelled.values():
            self._client.ask_after(handle)
        self._cancelled.clear()
        self._definitions.managers(lambda present: self._tower.post(partial(self._miss, present)))
        if self._jenkins is not None:
            self._jenkins.sweep()
        self._tower.box.later(_SWEEP, self._sweep)

    def _miss(self, present: frozenset[str]) -> None:
        for flight in list(self._tower.flights.values()):
            if flight.phase is not Phase.SUBMITTED or not self._own.missing(flight, present) or self._tower.ended_already(flight):
                continue
            self.withdraw(flight)
            assert flight.running is not None
            self._tower.finish(flight, Result.LOST, f"{flight.running.worker} ran the build and has not been seen for long")

    def withdraw(self, flight: Flight) -> None:
        """Have its server forget a flight whose worker is gone, lest it be given to another. What is heard of it yet is late."""
        handle = flight.handle
        if handle is not None:
            self._cancelled[flight.id] = (handle, flight)
            self._definitions.withdraw(handle)

    # How a build is stopped.

    def _stop_build(self, build: BuildId, reason: str) -> None:
        flight = self._tower.find(build)
        if flight is None:
            if not self._tower.has_ended(build):  # of another life of this process
                self._tower.remember(build)
                self._own.stop_everywhere(build)
                if self._jenkins is not None:
                    self._jenkins.stop_everywhere(build)
                self._tower.tell(BuildDone(build, Result.CANCELED, detail=reason))
            return
        if flight.stop_reason is not None:
            return
        flight.stop_reason = reason
        if flight.phase in (Phase.PREPARING, Phase.ADRIFT):
            flight.side.give_up(flight)
        elif flight.phase is Phase.HARVESTED:
            self._tower.finish(flight, Result.CANCELED, "")
        else:
            self._end_it(flight)

    def _end_it(self, flight: Flight) -> None:
        """Take the next step towards the end of a build that is to be stopped; repeated until it has ended, or given up."""
        flight.stops += 1
        if flight.stops > _STOPS:
            self._tower.finish(flight, Result.CANCELED, f"{flight.stop_reason}; its worker did not answer the request to stop")
            return
        if flight.running is not None or flight.phase is Phase.WATCHED:
            flight.side.stop(flight)
        elif flight.handle is not None:
            self._definitions.run(partial(self._cancel, flight.id, flight.attempt, flight.handle))
        self._tower.box.later(_STOP_PAUSE, partial(self._insist, flight.id, flight.stops))

    def _insist(self, build: BuildId, stops: int) -> None:
        flight = self._tower.find(build)
        if flight is not None and flight.stops == stops and flight.phase is not Phase.HARVESTED:
            self._end_it(flight)

    def _cancel(self, build: BuildId, attempt: int, handle: JobHandle) -> None:
        """Take a waiting job out of its server's queue. On the definitions' thread, since it blocks."""
        if self._try_cancel(build, handle):
            self.heard(build, attempt, partial(self._was_cancelled, handle=handle))
        else:
            self.heard(build, attempt, lambda flight: flight.side.stop(flight))

    def _try_cancel(self, build: BuildId, handle: JobHandle) -> bool:
        try:
            return self._client.cancel(handle)
        except GearmanUnavailableError as error:
            log.warning("dispatch.cancel_failed", build=build, error=str(error))
            return False

    def _was_cancelled(self, flight: Flight, handle: JobHandle) -> None:
        if flight.running is not None:
            return  # it started just then: its end comes through stop:<manager>
        self._cancelled[flight.id] = (handle, flight)
        flight.side.cancelled(flight)
        self._tower.finish(flight, Result.CANCELED, "")

    def late(self, build: BuildId, running: wire.Running | None, over: bool) -> None:
        """Something was heard of a cancelled build. A C gearmand also "cancels" what runs: then the worker must be told."""
        if build in self._cancelled and (running is not None or over):
            _, flight = self._cancelled[build]
            flight.side.late(flight, running)

    def _on(self, build: BuildId, phase: Phase, act: Act) -> None:
        def do() -> None:
            flight = self._tower.find(build, phase=phase)
            if flight is not None:
                act(flight)

        self._tower.post(do)
