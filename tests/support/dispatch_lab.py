"""A dispatcher between a Gearman server and scripted workers, and what it has answered."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from tests.support.gearman_servers import GearmanServer
from tests.support.gearman_worker import Run, ScriptedWorker
from tests.support.waiting import wait_until
from torii.dispatch.gearman import GearmanDispatcher
from torii.dispatch.pace import Pace
from torii.gearman import Client
from torii.gearman.admin import functions
from torii.jobs import RenderedJob
from torii.model.build import BuildRequest, FileComment, Result
from torii.model.event import BuildDone, BuildStalled, BuildStarted, Event
from torii.model.ids import BuildId, BuildSetId, ChangeId, PipelineName, ProjectName, Sha
from torii.model.job import JobDefinition
from torii.runtime.ports import Cursor, Outcome

KEY = b"a key for tests"
T = TypeVar("T")

PACE = Pace(busy=0.1, idle=0.3, grace=0.1, settle=0.5, patience=3.0)
"""As patient as it must be, and no more."""


class Library:
    """Names a job after itself; its XML is its script."""

    def __init__(self) -> None:
        self.broken: dict[str, Exception] = {}

    def rendered(self, request: BuildRequest, plugins: Iterable[str] = ()) -> RenderedJob:
        if request.job.name in self.broken:
            raise self.broken[request.job.name]
        return RenderedJob(f"app-{request.job.name}", f"<project>{request.job.run}</project>".encode(), request.job.label)


class FakeResults:
    """What ended builds left behind."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {}

    def record(self, build: str, result: str) -> None:
        self.outcomes[build] = Outcome(
            Result(result), duration=1.5, detail="as recorded", comments=(FileComment("a.py", "as commented", 3),)
        )

    def outcome(self, build: BuildId) -> Outcome | None:
        return self.outcomes.get(build)

    def url(self, build: BuildId) -> str:
        return f"http://torii.example.com/builds/{build}"


def build_request(job: str = "unit", **changes: object) -> BuildRequest:
    """A request for `job` under a new id."""
    definition = JobDefinition(name=job, run="make test")
    label = changes.pop("label", None)
    variables = changes.pop("variables", ())
    request = BuildRequest(
        id=BuildId(str(uuid.uuid4())),
        build_set=BuildSetId("k3f9-1.1"),
        job=replace(definition, label=label, variables=variables),
        synced=True,
        pipeline=PipelineName("check"),
        project=ProjectName("app"),
        branch="main",
        change=ChangeId("app:main/fix"),
        patchset="1",
        changes=((ChangeId("app:main/fix"), "1"),),
        ref="refs/staging/check/k3f9-1.1/main",
        commit=Sha("a" * 40),
    )
    return replace(request, **changes)


class Heard:
    """What a dispatcher has answered, as a test asks for it. `events` are all of it, oldest first."""

    events: list[Event]

    def done(self, request: BuildRequest, limit: float = 20) -> BuildDone:
        return self.until(lambda: next((event for event in self.of(request) if isinstance(event, BuildDone)), None), limit)

    def stall(self, request: BuildRequest) -> str:
        """The reason last told, waiting for a first one."""
        return self.until(lambda: [event for event in self.of(request) if isinstance(event, BuildStalled)])[-1].reason

    def waits_without_limit(self, request: BuildRequest) -> bool:
        """Whether the last stall that was told lies in somebody who is away."""
        return [event for event in self.of(request) if isinstance(event, BuildStalled)][-1].away

    def of(self, request: BuildRequest) -> list[Event]:
        return [event for event in list(self.events) if getattr(event, "build", None) == request.id]

    def answers(self, request: BuildRequest) -> list[str]:
        """What was told of the build, to its end: `started` and the result."""
        self.done(request)
        told = {BuildStarted: lambda event: "started", BuildDone: lambda event: event.result.value}
        return [told[type(event)](event) for event in self.of(request) if type(event) in told]

    def until(self, condition: Callable[[], T], limit: float = 15) -> T:
        return wait_until(condition, limit)


class DispatchLab(Heard):
    """Give it a server. `torii` workers take definitions and leave records; the others are Jenkins."""

    many = 300
    """Builds that a test of many asks for."""

    def __init__(self, server: GearmanServer, pace: Pace = PACE) -> None:
        self.server = server
        server.start()
        self.pace = pace
        self.library = Library()
        self.results = FakeResults()
        self.events: list[Event] = []
        self.workers: list[ScriptedWorker] = []
        self.requests: dict[BuildId, BuildRequest] = {}
        self.dispatcher = self._dispatcher()

    def _dispatcher(self) -> GearmanDispatcher:
        client = Client([self.server.address], "scheduler")
        staging = {ProjectName("app"): "https://git.example.com/app"}
        return GearmanDispatcher(client, self.post, self.library, self.results, KEY, staging, self.pace)

    def post(self, events: Sequence[Event], cursor: Cursor | None = None) -> None:
        self.events.extend(events)

    def worker(self, name: str = "node", *, torii: bool = True, **options: object) -> ScriptedWorker:
        key = KEY if torii else None
        worker = ScriptedWorker([self.server.address], name, key=key, ended=self.results.record if torii else _forget, **options)
        self.workers.append(worker)
        return worker

    def request(self, job: str = "unit", **changes: object) -> BuildRequest:
        request = build_request(job, **changes)
        self.requests[request.id] = request
        return request

    def start(self, request: BuildRequest) -> BuildRequest:
        self.dispatcher.start(request)
        return request

    def running(self, request: BuildRequest, limit: float = 15) -> Run:
        """Wait until a worker runs it, and the dispatcher knows."""
        self.until(lambda: any(isinstance(event, BuildStarted) for event in self.of(request)), limit)
        return self.run_of(request)

    def queued(self, count: int) -> None:
        """Wait until `count` builds wait in the server."""

        def waiting() -> bool:
            listed = functions(self.server.address, 5)
            return sum(status.queued - status.running for name, status in listed.items() if name.startswith("build:")) == count

        self.until(waiting)

    def leave(self, worker: ScriptedWorker, run: Run) -> None:
        """Have the only worker, which has `run` in hand, go when that has ended."""
        worker.stop()
        run.release()

    def record(self, request: BuildRequest, result: str) -> None:
        """Have the build ended before anybody asks for it."""
        self.results.record(request.id, result)

    def over(self, request: BuildRequest, run: Run) -> None:
        """Wait until the build has left behind what it leaves."""
        self.until(lambda: run.over.is_set() and self.results.outcome(request.id))

    def run_of(self, request: BuildRequest) -> Run:
        return self.until(lambda: next((run for worker in self.workers if (run := worker.run_of(request.id))), None))

    def runs(self, request: BuildRequest) -> int:
        return sum(run.uuid == request.id for worker in self.workers for run in worker.runs)

    def restart_dispatcher(self, expected: Sequence[BuildRequest]) -> None:
        """Begin anew, as after a crash, knowing only what is expected."""
        self.dispatcher.stop(5)
        self.events.clear()
        self.dispatcher = self._dispatcher()
        self.dispatcher.reconcile(expected)

    def close(self) -> None:
        self.dispatcher.stop(5)
        for worker in self.workers:
            worker.stop()
        self.server.kill()


def _forget(uuid: str, result: str) -> None:
    """Jenkins leaves nothing where Torii looks."""
