"""All builds on their way, and the answers that are owed for them. Everything but `post` is called on the dispatcher's thread."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial

import structlog

from torii.dispatch.away import Away
from torii.dispatch.flight import Flight, Phase, Side
from torii.dispatch.listeners import BuildListener, Hearer
from torii.dispatch.mailbox import Mailbox
from torii.dispatch.pace import Pace
from torii.dispatch.parameters import payload
from torii.gearman import Client
from torii.model.build import BuildRequest, Result
from torii.model.event import BuildDone, BuildStalled, BuildStarted, Event
from torii.model.ids import BuildId, ProjectName
from torii.runtime.ports import Outcome, Post, Results

log = structlog.get_logger()

_REMEMBERED = 10_000


class Tower:
    """What both sides, Torii's own workers and Jenkins, share. `hearer` is set before the first flight is submitted."""

    hearer: Hearer

    def __init__(
        self, client: Client, post: Post, results: Results, key: bytes, staging: Mapping[ProjectName, str], pace: Pace | None = None
    ) -> None:
        self.client = client
        self.results = results
        self.key = key
        self.pace = pace or Pace()
        self.box = Mailbox("dispatch")
        self.flights: dict[BuildId, Flight] = {}
        self._staging = staging
        self._post = post
        self._ended: OrderedDict[BuildId, None] = OrderedDict()

    def begin(self, request: BuildRequest, side: Side) -> Flight | None:
        """Return a flight for `request`, or None where it has one, or has ended."""
        if request.id in self.flights or request.id in self._ended:
            return None
        flight = self.flights[request.id] = Flight(request, side)
        return None if self.ended_already(flight) else flight

    def find(self, build: BuildId, turn: int | None = None, phase: Phase | None = None) -> Flight | None:
        """Return the flight of `build`, if it still is where it was when this was asked for."""
        flight = self.flights.get(build)
        if flight is None or (turn is not None and flight.turn != turn) or (phase is not None and flight.phase is not phase):
            return None
        return flight

    def submit(self, flight: Flight, function: str, defaults: Mapping[str, str] | None = None) -> None:
        """Hand the build to a Gearman server; `defaults` are of parameters that are declared and not given."""
        request = flight.request
        url = self._staging.get(request.project, "")
        try:
            data = payload(request, url, self.results.url(request.id), self.key, defaults)
        except ValueError as error:
            self.finish(flight, Result.NOT_BUILT, str(error))
            return
        flight.phase, flight.handle = Phase.SUBMITTED, None
        flight.attempt += 1
        self.client.submit(function, data, request.id, request.precedence, BuildListener(self.hearer, flight.id, flight.attempt))

    # Where nobody is known to have a build.

    def drift(self, flight: Flight, after: float) -> None:
        """Count `flight` as adrift, to be looked for after so many seconds."""
        flight.phase, flight.handle, flight.adrift_at = Phase.ADRIFT, None, time.monotonic()
        self.search(flight, after)

    def search(self, flight: Flight, after: float) -> None:
        """Have a flight that is adrift looked for after so many seconds, and not at any time that was set before."""
        flight.turn += 1
        self.box.later(after, partial(self._look, flight.id, flight.turn))

    def _look(self, build: BuildId, turn: int) -> None:
        flight = self.find(build, turn, Phase.ADRIFT)
        if flight is None or self.ended_already(flight):
            return
        if flight.stop_reason is not None:
            flight.side.give_up(flight)
        else:
            flight.side.look(flight)

    # What is told.

    def announce(self, flight: Flight, node: str = "", url: str | None = None) -> None:
        """Say that it runs; once, unless `announced` is taken back."""
        running = flight.running
        if running is not None and not flight.announced:
            flight.announced = True
            where = url or running.url or self.results.url(flight.id)
            self.tell(BuildStarted(flight.id, node=node or running.worker, number=running.number or None, url=where))

    def stalled(self, build: BuildId, reason: str) -> None:
        """Say why it cannot start, if that is news."""
        flight = self.flights.get(build)
        if flight is not None and flight.waits:
            self.troubled(flight, reason)

    def troubled(self, flight: Flight, reason: str) -> None:
        """Say why nothing can be learnt of it, running or not, if that is news."""
        if flight.stalled != reason:
            flight.stalled = reason
            self.tell(BuildStalled(flight.id, str(reason), isinstance(reason, Away)))

    def ended_already(self, flight: Flight) -> bool:
        """Answer for `flight` if it has left an outcome."""
        outcome = self.outcome(flight)
        if outcome is not None:
            self.finish(flight, outcome.result, "", outcome)
        return outcome is not None

    def outcome(self, flight: Flight) -> Outcome | None:
        try:
            return self.results.outcome(flight.id)
        except Exception:
            log.exception("dispatch.outcome_unreadable", build=flight.id)
            return None

    def finish(self, flight: Flight, result: Result, detail: str, outcome: Outcome | None = None) -> None:
        """Answer `BuildDone` and forget the build."""
        del self.flights[flight.id]
        self.remember(flight.id)
        flight.side.over(flight)
        ran = flight.announced or outcome is not None
        outcome = outcome or Outcome(result)
        detail = detail or outcome.detail
        if flight.stop_reason is not None:
            result, detail = Result.CANCELED, detail or flight.stop_reason
        url = outcome.url or (self.results.url(flight.id) if ran else None)
        log.info("dispatch.build_done", build=flight.id, result=result.value, detail=detail)
        self.tell(BuildDone(flight.id, result, outcome.duration, detail, outcome.tests, url, outcome.comments))

    def has_ended(self, build: BuildId) -> bool:
        """Whether it was answered for lately."""
        return build in self._ended

    def remember(self, build: BuildId) -> None:
        """Count `build` as answered for."""
        self._ended[build] = None
        while len(self._ended) > _REMEMBERED:
            self._ended.popitem(last=False)

    def tell(self, event: Event) -> None:
        self._post([event])

    def post(self, call: Callable[[], None]) -> None:
        """Have `call` run on the dispatcher's thread. From any thread."""
        self.box.post(call)
