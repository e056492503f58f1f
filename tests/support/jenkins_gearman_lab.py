"""A dispatcher between a Gearman server and fake Jenkins controllers, with a gatherer and a real library of jobs."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tests.support.dispatch_lab import KEY, PACE, DispatchLab, build_request
from tests.support.gearman_servers import GearmanServer
from torii.config.settings import JenkinsSettings, Secret
from torii.dispatch.farm import JenkinsFarm
from torii.dispatch.gearman import GearmanDispatcher
from torii.dispatch.pace import Pace
from torii.gearman import Client
from torii.jenkins import Controller
from torii.jobs import JobLibrary
from torii.model.build import BuildRequest, Result
from torii.model.event import Event
from torii.model.ids import BuildId, ProjectName
from torii.results import layout
from torii.results.desk import Pace as GathererPace
from torii.results.gatherer import Gatherer
from torii.results.record import BuildRecord, encode
from torii.results.stored import StoredResults
from torii.store.blobs import FolderBlobs
from torii.testing.jenkins import Build, FakeJenkins, FakeNode
from torii.testing.jenkins.state import Node

JOB = "app--main--unit"
JENKINS_PACE = replace(PACE, watch=0.2, recheck=0.3, retry=0.2)
_GATHERER_PACE = GathererPace(quick=0.02, slow=0.2, young=0.2, retry=0.02, longest=0.2, rate=1000)


class JenkinsRun:
    """A build in a fake Jenkins, as the contract of dispatchers sees one."""

    def __init__(self, fake: FakeJenkins, build: Build) -> None:
        self._fake, self.build = fake, build
        self.parameters = dict(build.parameters)
        self.uuid = self.parameters["TORII_UUID"]

    @property
    def number(self) -> int:
        return self.build.number

    @property
    def over(self) -> threading.Event:
        return self.build.over

    def release(self, result: str = "SUCCESS") -> None:
        self._fake.core.finish(self.build, result)


class Agent:
    """A node of a fake Jenkins, as the contract of dispatchers sees a worker."""

    def __init__(self, fake: FakeJenkins, name: str) -> None:
        self.fake, self.name = fake, name

    @property
    def runs(self) -> list[JenkinsRun]:
        with self.fake.core.lock:
            builds = [build for job in self.fake.core.jobs.values() for build in job.builds.values() if build.node.name == self.name]
        return [JenkinsRun(self.fake, build) for build in sorted(builds, key=lambda build: (build.started, build.number))]

    @property
    def instant(self) -> None:
        return None

    @instant.setter
    def instant(self, result: str) -> None:
        self.fake.instant(result)


class JenkinsLab(DispatchLab):
    """One fake Jenkins, `ci`, without nodes at first; `worker` adds one. `another` adds a controller. Builds are held until released."""

    many = 200

    def __init__(self, server: GearmanServer, folder: Path, pace: Pace = JENKINS_PACE, **options: object) -> None:
        self.folder = folder
        server.start()
        self.server = server
        self.pace = pace
        self.blobs = FolderBlobs(folder / "blobs")
        self.fakes: dict[str, FakeJenkins] = {}
        self.settings: dict[str, JenkinsSettings] = {}
        self.instance = "k3f9"
        self.fake = self.another("ci", **options)
        self.library = JobLibrary("http://torii.example.com")
        self.results = StoredResults(self.blobs, "http://torii.example.com")
        self.events: list[Event] = []
        self.workers: list[Agent] = []
        self.requests: dict[BuildId, BuildRequest] = {}
        self.gatherer: Gatherer | None = None
        self.opened: list[Controller] = []
        self.projects: dict[str, tuple[str, ...]] = {"app": ("ci",)}
        self.dispatcher = self._dispatcher()

    def another(self, name: str, settings: Mapping[str, object] | None = None, **options: object) -> FakeJenkins:
        """Start a controller, with `settings` in server.yml; it is known to the next dispatcher."""
        given = {"gearman": [self.server.address], "nodes": (), "manager": f"{name}.example.org", **options}
        fake = self.fakes[name] = FakeJenkins(self.folder / name, **given)
        fake.start()
        fake.hold()
        (self.folder / f"{name}.token").write_text(fake.token)
        secret = Secret(f"file:{self.folder / name}.token")
        self.settings[name] = replace(JenkinsSettings(name, fake.url, fake.user, secret, timeout=5.0), **(settings or {}))
        return fake

    def _dispatcher(self) -> GearmanDispatcher:
        controllers = {name: Controller(settings, patience=0.01) for name, settings in self.settings.items()}
        self.opened.extend(controllers.values())
        self.gatherer = Gatherer(controllers, self.blobs, pace=_GATHERER_PACE)
        self.gatherer.start()
        projects = {ProjectName(name): used for name, used in self.projects.items()}
        farm = JenkinsFarm(controllers, projects, self.gatherer, self.instance)
        client = Client([self.server.address], "scheduler")
        staging = {ProjectName("app"): "https://git.example.com/app"}
        return GearmanDispatcher(client, self.post, self.library, self.results, KEY, staging, self.pace, farm)

    def restart_dispatcher(self, expected: Sequence[BuildRequest]) -> None:
        assert self.gatherer is not None
        self.gatherer.stop(5)
        super().restart_dispatcher(expected)

    def worker(self, name: str = "node", *, executors: int = 1, labels: Sequence[str] = ("linux",), instant: str | None = None) -> Agent:
        return self.agent("ci", FakeNode(name, tuple(labels), executors), instant)

    def agent(self, controller: str, node: FakeNode, instant: str | None = None) -> Agent:
        fake = self.fakes[controller]
        if instant is not None:
            fake.instant(instant)
        with fake.core.lock:
            fake.core.nodes.append(Node(node, frozenset({node.name, *node.labels}), offline=True))
        fake.revive_node(node.name)
        worker = Agent(fake, node.name)
        self.workers.append(worker)
        return worker

    def leave(self, worker: Agent, run: JenkinsRun) -> None:
        worker.fake.take_offline(worker.name)
        run.release()

    def over(self, request: BuildRequest, run: JenkinsRun) -> None:
        self.until(run.over.is_set)

    def run_of(self, request: BuildRequest) -> JenkinsRun:
        def found() -> JenkinsRun | None:
            return next((JenkinsRun(fake, build) for fake in self.fakes.values() if (build := fake.find(request.id)) is not None), None)

        return self.until(found)

    def runs(self, request: BuildRequest) -> int:
        return sum(run.uuid == request.id for worker in self.workers for run in worker.runs)

    def record(self, request: BuildRequest, result: str) -> None:
        self.blobs.put(layout.record(request.id), encode(BuildRecord(Result(result))))

    def log(self, request: BuildRequest) -> str:
        """What the store has of the build's console log."""
        key = layout.console(request.id)
        return self.blobs.read(key).decode() if self.blobs.exists(key) else ""

    def close(self) -> None:
        self.dispatcher.stop(5)
        assert self.gatherer is not None
        self.gatherer.stop(5)
        for controller in self.opened:
            controller.close()
        for fake in self.fakes.values():
            fake.stop()
        self.server.kill()


def changed(script: str = "make other", **changes: object) -> BuildRequest:
    """A request for a job that the change itself alters."""
    request = build_request(**changes)
    return replace(request, synced=False, job=replace(request.job, run=script))
