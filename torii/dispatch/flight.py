"""What the dispatcher knows of one build between being asked for it and answering."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

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


@dataclass(slots=True)
class Flight:
    """A build on its way. `attempt` tells answers to an earlier submit from those to the latest, `turn` a stale timer from the latest.

    `waits` is true until it is known to run; `adrift_at` is when the search for it began; `missed` counts looks at which its worker was
    not there.
    """

    request: BuildRequest
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
