"""What the dispatcher knows of one build between being asked for it and answering, and who knows how it is run."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from torii.dispatch.wire import Running
from torii.gearman import JobHandle
from torii.model.build import BuildRequest
from torii.model.ids import BuildId


class Phase(Enum):
    """Where a build is on its way."""

    PREPARING = "its job is being brought to the workers"
    SUBMITTED = "a Gearman server has it"
    ADRIFT = "no server is known to have it; whether a worker has is being found out"
    WATCHED = "a worker runs it, but has no connection left on which to tell of its end"
    HARVESTED = "it has ended, and what it left is being brought"


@dataclass(slots=True)
class Flight:
    """A build on its way. `attempt` tells answers to an earlier submit from those to the latest, `turn` a stale timer from the latest.

    `waits` is true until it is known to run; `adrift_at` is when the search for it began; `missed` counts looks at which its worker was
    not there.
    """

    request: BuildRequest
    side: Side
    phase: Phase = Phase.PREPARING
    attempt: int = 0
    turn: int = 0
    handle: JobHandle | None = None
    running: Running | None = None
    announced: bool = False
    waits: bool = True
    stalled: str = ""
    stop_reason: str | None = None
    stops: int = 0
    stop_handles: list[JobHandle] = field(default_factory=list)
    adrift_at: float = 0.0
    missed: int = 0

    @property
    def id(self) -> BuildId:
        return self.request.id


class Side(Protocol):
    """Who knows how builds of one kind are run: Torii's own workers, or Jenkins. Called on the dispatcher's thread; never waits."""

    def prepare(self, flight: Flight) -> None:
        """See to it that the job can be run; the flight is submitted when it can."""

    def submit(self, flight: Flight, function: str) -> None:
        """Submit the flight: `function` is registered."""

    def started(self, flight: Flight, before: Running | None) -> None:
        """Its worker told, once more perhaps, what it runs; `before` is what was known until then."""

    def complete(self, flight: Flight, data: bytes) -> None:
        """WORK_COMPLETE came, with `data`."""

    def broke(self, flight: Flight, detail: str) -> None:
        """WORK_FAIL or WORK_EXCEPTION came, the latter with `detail`."""

    def drift(self, flight: Flight) -> None:
        """The Gearman server that had it is lost, or another life of this process may have started it: begin to search for it."""

    def look(self, flight: Flight) -> None:
        """It is adrift, and time to find out where it is."""

    def reconnected(self, flight: Flight) -> None:
        """It is adrift, and a Gearman server can be reached again."""

    def stop(self, flight: Flight) -> None:
        """Tell whoever runs it to end it. Called again while it has not ended."""

    def give_up(self, flight: Flight) -> None:
        """End a flight that no server has: what may run somewhere is told to stop, and not waited for."""

    def cancelled(self, flight: Flight) -> None:
        """It was taken out of its server's queue, and is answered for. A C gearmand also says so of what a worker has just taken."""

    def late(self, flight: Flight, running: Running | None) -> None:
        """Something was heard of a flight that was cancelled."""

    def over(self, flight: Flight) -> None:
        """It was answered for."""
