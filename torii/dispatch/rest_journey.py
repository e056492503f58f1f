"""What the REST dispatcher knows of one build between being asked for it and answering, and what a look at a Jenkins shows."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from torii.dispatch.away import quieting_down
from torii.dispatch.jenkins_jobs import Place
from torii.jenkins import Build, Controller, Queued
from torii.model.build import BuildRequest
from torii.model.ids import BuildId
from torii.results.run import Run


class Stage(Enum):
    """Where a build is on its way."""

    PREPARING = "its job is being brought to its Jenkins"
    ASKING = "its Jenkins is being asked to start it"
    SEARCHING = "whether a Jenkins has it is being found out"
    QUEUED = "it waits in its Jenkins' queue"
    RUNNING = "its Jenkins runs it"
    HARVESTED = "it has ended, and what it left is being brought"


@dataclass(slots=True, eq=False)
class Journey:
    """A build on its way, in the Jenkins `controller`. `turn` tells answers to earlier questions from those to the latest.

    `item` is its place in the queue; `since` is when, by the monotonic clock, its stage was learnt. `odd` counts how often its
    job was not as it should be, `refused` how often Torii was not allowed to start it.
    """

    request: BuildRequest
    controller: str
    stage: Stage = Stage.PREPARING
    turn: int = 0
    place: Place | None = None
    item: int = 0
    run: Run | None = None
    since: float = 0.0
    announced: bool = False
    stalled: str = ""
    stop_reason: str | None = None
    stops: int = 0
    odd: int = 0
    refused: int = 0

    @property
    def id(self) -> BuildId:
        return self.request.id

    def enter(self, stage: Stage) -> None:
        """Begin `stage`: answers to what was asked before it count no more."""
        self.stage, self.since = stage, time.monotonic()
        self.turn += 1


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of the builds in a Jenkins by one look, begun at `at` (monotonic): by their TORII_UUID, what runs and what waits.

    `deserted`: nothing runs there, and no node is online that could run a job without a label.
    """

    at: float
    running: Mapping[str, Build]
    queue: Mapping[str, Queued]
    deserted: bool = False


def look(controller: Controller) -> Sight:
    """Return what `controller` runs and what waits there, in two or three requests however many that is. Raises JenkinsError."""
    at = time.monotonic()
    # In this order: what leaves the queue between the two is seen to run.
    queue = {item.uuid: item for item in controller.queue() if item.uuid}
    running = controller.running()
    # Of a job without a label Jenkins says only that it waits for an executor, also where there is none.
    idle = not running and any(_BUSY.search(item.why) for item in queue.values())
    deserted = idle and not any(node.executors and not (node.offline or node.exclusive) for node in controller.nodes())
    return Sight(at, running, queue, deserted)


_HOPELESS = re.compile(r"no nodes with the label|\bis offline\b|\bare offline\b|shut down|doesn.t have label", re.IGNORECASE)
_BUSY = re.compile(r"next available executor", re.IGNORECASE)


def held_up(item: Queued, jenkins: str, deserted: bool = False) -> str:
    """Return why `item` cannot start, empty where it is merely behind others."""
    why = " ".join(item.why.split())
    if "shut down" in why.lower():
        return quieting_down(jenkins)
    hopeless = bool(_HOPELESS.search(why)) and not _BUSY.search(why)
    if deserted and _BUSY.search(why):
        return f"the Jenkins {jenkins} has no node online that takes jobs without a label"
    if not (item.stuck or hopeless):
        return ""
    return f"it waits in the queue of the Jenkins {jenkins}: {why or 'Jenkins does not say for what'}"
