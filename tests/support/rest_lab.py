"""A REST dispatcher between a gatherer and fake Jenkinses, and what it has answered: `DispatchLab`, as far as REST has the same."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.support.dispatch_lab import Heard, build_request
from tests.support.results_lab import PACE as RESULTS_PACE
from torii.config.settings import JenkinsSettings, Secret
from torii.dispatch.farm import JenkinsFarm
from torii.dispatch.pace import Pace
from torii.dispatch.rest import RestDispatcher
from torii.jenkins import Controller
from torii.jobs import RenderedJob
from torii.jobs.names import changed_job_name, job_name
from torii.jobs.parameters import PARAMETERS
from torii.model.build import BuildRequest, Result
from torii.model.event import BuildStalled, BuildStarted, Event
from torii.model.ids import BuildId, ProjectName
from torii.results import layout
from torii.results.gatherer import Gatherer
from torii.results.record import BuildRecord, encode
from torii.results.stored import StoredResults
from torii.runtime.ports import Cursor
from torii.store.blobs import FolderBlobs
from torii.testing.jenkins import Build, FakeJenkins, FakeNode, job_xml
from torii.testing.jenkins.core import _node

T = TypeVar("T")

PACE = Pace(retry=0.1, recheck=0.2, keep_copy=0.5, tidy=0.2)
POLL = 0.1


class Library:
    """Renders a job in no time, under the name that the real one gives it."""

    def __init__(self) -> None:
        self.broken: dict[str, Exception] = {}

    def rendered(self, request: BuildRequest, plugins: Iterable[str] = ()) -> RenderedJob:
        del plugins
        job = request.job
        if job.name in self.broken:
            raise self.broken[job.name]
        declared = (*PARAMETERS, *(name for name, _ in job.variables))
        xml = job_xml(job.run, parameters=declared, label=job.label or "", artifacts=", ".join(job.artifacts)).encode()
        name = job_name(request.project, request.branch, job.name)
        return RenderedJob(name if request.synced else changed_job_name(name, xml), xml, job.label)


@dataclass(frozen=True)
class RestRun:
    """A build in the fake, as `ScriptedWorker` shows one."""

    fake: FakeJenkins
    build: Build

    @property
    def uuid(self) -> str:
        return self.build.parameters["TORII_UUID"]

    @property
    def number(self) -> int:
        return self.build.number

    @property
    def job(self) -> str:
        return self.build.job.name

    @property
    def parameters(self) -> dict[str, str]:
        return dict(self.build.parameters)

    @property
    def over(self) -> threading.Event:
        return self.build.over

    def release(self, result: str = "SUCCESS") -> None:
        self.fake.release(self.job, self.number, result)
        self.fake.wait_until_over(self.job, self.number)


class RestWorker:
    """A node of the fake."""

    def __init__(self, lab: RestLab, fake: FakeJenkins, name: str, executors: int, labels: Sequence[str]) -> None:
        self.lab, self.fake, self.name = lab, fake, name
        with fake.core.lock:
            fake.core.nodes.append(_node(FakeNode(name, tuple(labels), executors)))
            fake.core.maintain()

    @property
    def runs(self) -> list[RestRun]:
        with self.fake.core.lock:
            builds = [build for job in self.fake.core.jobs.values() for build in job.builds.values() if build.node.name == self.name]
        return [RestRun(self.fake, build) for build in sorted(builds, key=lambda build: build.started)]

    def stop(self) -> None:
        self.fake.take_offline(self.name)


class RestLab(Heard):
    """`controllers` fakes, `ci` and `ci2` and so on; the nodes that a test makes are of the first unless it says."""

    many = 300

    def __init__(self, folder: Path, controllers: int = 1, **settings: object) -> None:
        self.folder = folder
        self.fakes: dict[str, FakeJenkins] = {}
        for number in range(1, controllers + 1):
            name = "ci" if number == 1 else f"ci{number}"
            self.fakes[name] = FakeJenkins(folder / name, nodes=())
            self.fakes[name].start()
            self.fakes[name].hold()
        self.fake = self.fakes["ci"]
        (folder / "token").write_text(self.fake.token)
        self.settings = settings
        self.library = Library()
        self.blobs = FolderBlobs(folder / "blobs")
        self.results = StoredResults(self.blobs, "http://torii.example.com")
        self.events: list[Event] = []
        self.workers: list[RestWorker] = []
        self.requests: dict[BuildId, BuildRequest] = {}
        self.controllers: dict[str, Controller] = {}
        self.dispatcher = self._dispatcher()

    def _dispatcher(self) -> RestDispatcher:
        secret = Secret(f"file:{self.folder / 'token'}")
        options = {"timeout": 5.0, "poll": POLL, **self.settings}
        settings = {name: JenkinsSettings(name, fake.url, fake.user, secret, **options) for name, fake in self.fakes.items()}
        self.controllers = {name: Controller(each, patience=0.01) for name, each in settings.items()}
        self.gatherer = Gatherer(self.controllers, self.blobs, pace=RESULTS_PACE)
        self.gatherer.start()
        farm = JenkinsFarm(self.controllers, {ProjectName("app"): tuple(self.controllers)}, self.gatherer, "torii-1")
        staging = {ProjectName("app"): "https://git.example.com/app"}
        return RestDispatcher(farm, self.post, self.library, self.results, staging, PACE)

    def post(self, events: Sequence[Event], cursor: Cursor | None = None) -> None:
        self.events.extend(events)

    def worker(
        self,
        name: str = "node",
        *,
        torii: bool = True,
        executors: int = 1,
        labels: Sequence[str] = ("linux",),
        jobs: Sequence[str] = (),
        instant: str | None = None,
        controller: str = "ci",
    ) -> RestWorker:
        del torii, jobs
        if instant is not None:
            self.fakes[controller].instant(instant)
        worker = RestWorker(self, self.fakes[controller], name, executors, labels)
        self.workers.append(worker)
        return worker

    def request(self, job: str = "unit", **changes: object) -> BuildRequest:
        request = build_request(job, **changes)
        self.requests[request.id] = request
        return request

    def record(self, request: BuildRequest, result: str) -> None:
        """Write down what another life of Torii gathered."""
        self.blobs.put(layout.record(request.id), encode(BuildRecord(Result(result), duration=1.5, detail="as recorded")))

    def start(self, request: BuildRequest) -> BuildRequest:
        self.dispatcher.start(request)
        return request

    def running(self, request: BuildRequest, limit: float = 15) -> RestRun:
        """Wait until a Jenkins runs it, and the dispatcher knows."""
        self.until(lambda: any(isinstance(event, BuildStarted) for event in self.of(request)), limit)
        return self.run_of(request)

    def queued(self, count: int) -> None:
        """Wait until `count` builds wait in the Jenkinses."""
        self.until(lambda: sum(len(fake.queue()) for fake in self.fakes.values()) == count)

    def run_of(self, request: BuildRequest) -> RestRun:
        def find() -> RestRun | None:
            return next((RestRun(fake, build) for fake in self.fakes.values() if (build := fake.find(request.id))), None)

        return self.until(find)

    def runs(self, request: BuildRequest) -> int:
        builds = (b for fake in self.fakes.values() for job in fake.jobs.values() for b in list(job.builds.values()))
        return sum(build.parameters.get("TORII_UUID") == request.id for build in builds)

    def stalls(self, request: BuildRequest) -> list[str]:
        return [event.reason for event in self.of(request) if isinstance(event, BuildStalled)]

    def let_go(self) -> None:
        """End the dispatcher as a crash does; its Jenkins goes on."""
        self.dispatcher.stop(5)
        self.gatherer.stop(5)
        for controller in self.controllers.values():
            controller.close()

    def restart_dispatcher(self, expected: Sequence[BuildRequest]) -> None:
        """Begin anew, as after a crash, knowing only what is expected."""
        self.let_go()
        self.events.clear()
        self.dispatcher = self._dispatcher()
        self.dispatcher.reconcile(expected)

    def close(self) -> None:
        self.let_go()
        for fake in self.fakes.values():
            fake.stop()
