"""A gatherer between a fake Jenkins and a folder of blobs, and what it has told."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from tests.support.waiting import wait_until
from torii.config.settings import Artifacts, JenkinsSettings, Secret
from torii.jenkins import Controller
from torii.model.build import Result
from torii.model.ids import BuildId
from torii.model.job import JobDefinition, JobReports
from torii.results import layout
from torii.results.desk import Pace
from torii.results.gatherer import Gatherer
from torii.results.run import Run
from torii.results.stored import StoredResults
from torii.runtime.ports import Outcome
from torii.store.blobs import FolderBlobs
from torii.testing.jenkins import Build, FakeJenkins, job_xml
from torii.testing.jenkins.log import shown

T = TypeVar("T")

JOB = "app--main--unit"
PACE = Pace(quick=0.02, slow=0.2, young=0.2, retry=0.02, longest=0.1, rate=1000)
"""As quick as a test wants it."""


def definition(**reports: object) -> JobDefinition:
    """A job with these reports and artifacts."""
    artifacts = reports.pop("artifacts", ())
    return JobDefinition("unit", "make test", reports=JobReports(**reports), artifacts=artifacts)


@dataclass
class Ending:
    """What was told of the end of a build."""

    told: list[Outcome | None] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def outcome(self, limit: float = 20) -> Outcome:
        """What it came to, waiting for it."""
        wait_until(lambda: self.told, limit)
        assert len(self.told) == 1
        assert self.told[0] is not None
        return self.told[0]


class ResultsLab:
    """`ci` is the name of the fake in `server.yml`."""

    def __init__(self, folder: Path, **options: object) -> None:
        self.folder = folder
        self.fake = FakeJenkins(folder / "jenkins", **options)
        self.fake.start()
        (folder / "token").write_text(self.fake.token)
        self.settings = JenkinsSettings("ci", self.fake.url, self.fake.user, Secret(f"file:{folder / 'token'}"), timeout=5.0)
        self.blobs = FolderBlobs(folder / "blobs")
        self.results = StoredResults(self.blobs, "http://torii.example.com")
        self.gatherers: list[Gatherer] = []
        self.begin_anew()

    def begin_anew(self, pace: Pace = PACE, **settings: object) -> Gatherer:
        """A gatherer that knows nothing of an earlier one, which is let go of as a killed process lets go: at once."""
        for each in self.gatherers:
            each.stop(0)
        self.settings = replace(self.settings, **settings)
        self.controller = Controller(self.settings, patience=0.01)
        self.gatherer = Gatherer({"ci": self.controller}, self.blobs, pace=pace)
        self.gatherers.append(self.gatherer)
        self.gatherer.start()
        return self.gatherer

    def link(self) -> None:
        self.begin_anew(artifacts=Artifacts.LINK)

    def job(self, *steps: str, name: str = JOB, hold: bool = False, **options: object) -> None:
        self.fake.add_job(name, job_xml(*steps, **options))
        (self.fake.hold if hold else self.fake.for_real)(name)

    def run(self, name: str = JOB, build: BuildId | None = None) -> Run:
        """Have a build begin."""
        build = build or BuildId(str(uuid.uuid4()))
        before = {each.number for each in self.fake.running(name)}
        self.controller.start(name, {"TORII_UUID": build})
        self.until(lambda: self.fake.find(build) is not None and self.fake.find(build).number not in before)
        return Run(build, "ci", name, self.fake.find(build).number, f"{self.fake.url}/job/{name}/{self.fake.find(build).number}/")

    def finish(self, run: Run, word: Result | None = None) -> Ending:
        ending = Ending()
        self.gatherer.finish(run, word, ending.told.append, ending.troubles.append)
        return ending

    def build(self, run: Run) -> Build:
        found = self.fake.build(run.job, run.number)
        assert found is not None
        return found

    def write(self, run: Run, data: bytes) -> None:
        self.fake.write(run.job, run.number, data)

    def release(self, run: Run, result: str = "SUCCESS") -> None:
        self.fake.release(run.job, run.number, result)
        self.fake.wait_until_over(run.job, run.number)

    def log(self, run: Run) -> bytes:
        """What stands in the store of the build's log."""
        key = layout.console(run.build)
        return self.blobs.read(key) if self.blobs.exists(key) else b""

    def logged(self, run: Run) -> bytes:
        """What Jenkins itself shows of the log, below the line that names the run."""
        log = self.build(run).log
        return f"[torii] {run}: {run.url}\n".encode() + shown(log.read(0, log.size))

    def record(self, run: Run):
        return self.results.record(run.build)

    def until(self, condition: Callable[[], T], limit: float = 15) -> T:
        return wait_until(condition, limit)

    def close(self) -> None:
        for each in self.gatherers:
            each.stop(5)
        self.controller.close()
        self.fake.stop()
