"""1,000 builds that run in a Jenkins at once, each with a new line in its log every five seconds, followed over REST: what that costs.

The fake Jenkins is a process of its own. Torii's share is the processor time of this one: the dispatcher looks at what runs every two
seconds, the gatherer reads logs within its budget of requests. The floor is that of as many requests for a log, made by the bare
`requests` one after another.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Sequence
from itertools import cycle
from multiprocessing.connection import Connection
from pathlib import Path

import requests

from benchmarks.jenkins_scene import JOB, PROJECT, Place, jenkins, request
from benchmarks.measurement import Measurement
from benchmarks.scene import until
from torii.config.settings import JenkinsSettings
from torii.dispatch.farm import JenkinsFarm
from torii.dispatch.rest import RestDispatcher
from torii.jenkins import Controller, LogPiece
from torii.jobs import JobLibrary
from torii.model.build import BuildRequest
from torii.model.event import BuildStarted, Event
from torii.model.ids import BuildId
from torii.results.gatherer import Gatherer
from torii.results.stored import StoredResults
from torii.runtime.ports import Cursor
from torii.store.blobs import FolderBlobs
from torii.testing.jenkins import FakeJenkins, FakeNode, job_xml

BUILDS = 1_000
SECONDS = 30
LINE_EVERY = 5.0
TARGET = 10.0
_SETTLE = 5.0
_LINE = b"ok 1 - a line of the length that lines of tests have, or a little longer\n"


def run(builds: int = BUILDS, seconds: int = SECONDS) -> Measurement:
    """Measure, and return the share of a core, in percent."""
    with tempfile.TemporaryDirectory(prefix="torii-benchmark-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with jenkins(_serve, folder, builds) as place:
            settings = place.settings(folder)
            figure, looks, behind = _followed(folder, settings, _begun(settings, builds), seconds)
            floor = _bare(place, looks) / seconds * 100
    print(
        f"{builds:,} builds: {figure:.1f} % of a core, {looks / seconds:.0f} looks at logs a second (bare requests: {floor:.1f} %); "
        f"the log that was read longest ago: {behind:.0f} s",
        flush=True,
    )
    target = f"under {TARGET:g} % of a core"
    return Measurement("jenkins-follow", figure, "% of a core", floor, figure / floor, target, figure < TARGET)


def _followed(folder: Path, settings: JenkinsSettings, wanted: Sequence[BuildRequest], seconds: int) -> tuple[float, int, float]:
    """Return the percentage of a core, how many logs were asked for, and how long ago, in seconds, that was of the last one."""
    begun: set[BuildId] = set()

    def post(events: Sequence[Event], cursor: Cursor | None = None) -> None:
        del cursor
        begun.update(event.build for event in events if isinstance(event, BuildStarted))

    controller = _Counting(settings)
    blobs = FolderBlobs(folder / "blobs")
    gatherer = Gatherer({"ci": controller}, blobs)
    farm = JenkinsFarm({"ci": controller}, {PROJECT: ("ci",)}, gatherer, "benchmark")
    gatherer.start()
    dispatcher = RestDispatcher(farm, post, JobLibrary(), StoredResults(blobs, "http://localhost"), {})
    try:
        dispatcher.reconcile(wanted)
        until(lambda: len(begun) == len(wanted), "all builds are found")
        until(lambda: len(controller.asked) == len(wanted), "each log was read once")
        _let_pass(_SETTLE)
        spent, before, began = time.process_time(), controller.logs, time.monotonic()
        _let_pass(seconds)
        spent, looks, now = time.process_time() - spent, controller.logs - before, time.monotonic()
        return 100 * spent / (now - began), looks, max(now - at for at in controller.asked.values())
    finally:
        dispatcher.stop(5)
        gatherer.stop(5)
        controller.close()


class _Counting(Controller):
    """Counts how often it is asked for logs, and remembers when for which."""

    def __init__(self, settings: JenkinsSettings) -> None:
        super().__init__(settings)
        self.logs = 0
        self.asked: dict[int, float] = {}

    def log(self, job: str, number: int, start: int = 0, largest: int = 4 * 1024 * 1024) -> LogPiece:
        self.logs += 1
        self.asked[number] = time.monotonic()
        return super().log(job, number, start, largest)


def _bare(place: Place, count: int) -> float:
    """Return the processor time, in seconds, of `count` requests for a log by hand."""
    with requests.Session() as session:
        session.auth = (place.user, place.token)
        spent = time.process_time()
        for _ in range(count):
            session.get(f"{place.url}/job/{JOB}/1/logText/progressiveText", params={"start": "100"}, timeout=30).raise_for_status()
        return time.process_time() - spent


def _begun(settings: JenkinsSettings, count: int) -> list[BuildRequest]:
    """Have `count` builds begin."""
    controller = Controller(settings)
    wanted = [request() for _ in range(count)]
    for each in wanted:
        controller.start(JOB, {"TORII_UUID": each.id})
    until(lambda: len(controller.running()) == count, "all builds run")
    controller.close()
    return wanted


def _let_pass(seconds: float) -> None:
    threading.Event().wait(seconds)


def _serve(pipe: Connection, folder: Path, executors: int) -> None:
    """Be a Jenkins whose builds go on, and write."""
    with FakeJenkins(folder, nodes=[FakeNode("agent", ("linux",), executors)]) as fake:
        fake.hold()
        fake.add_job(JOB, job_xml("true"))
        pipe.send(Place.of(fake))
        pause = LINE_EVERY / executors
        for number in cycle(range(1, executors + 1)):
            if pipe.poll(pause):
                return
            if (build := fake.build(JOB, number)) is not None:
                build.log.write(_LINE)
