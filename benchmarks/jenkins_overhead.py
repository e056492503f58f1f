"""From commanding a build to its result in the gate: what Torii and the wire add to a build in Jenkins that takes no time at all.

The job is in Jenkins already. Dispatch is through an embedded Gearman server and the plug-in's workers of a fake Jenkins, which is a
process of its own; the result, the log and the record come through Jenkins' API into the store before the gate is told. The script
submits the same build over the same server and fetches the same build and log by hand. They take turns.
"""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections.abc import Sequence
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles

import requests

from benchmarks.jenkins_scene import JOB, PROJECT, Place, jenkins, request
from benchmarks.measurement import Measurement
from torii.dispatch import GearmanDispatcher
from torii.dispatch.farm import JenkinsFarm
from torii.gearman import Client, Server
from torii.jenkins import Controller
from torii.jobs import JobLibrary
from torii.model.build import Result
from torii.model.event import BuildDone, Event
from torii.model.ids import BuildId
from torii.results.gatherer import Gatherer
from torii.results.stored import StoredResults
from torii.runtime.ports import Cursor
from torii.store.blobs import FolderBlobs
from torii.testing.jenkins import FakeJenkins, FakeNode

ROUNDS = 100
WARM = 5
TARGET = 30.0
_LIMIT = 30.0


def run(rounds: int = ROUNDS) -> Measurement:
    """Measure, and return milliseconds from command to result, beyond the build's own (the median)."""
    ours: list[float] = []
    floors: list[float] = []
    server = Server()
    server.start()
    try:
        with tempfile.TemporaryDirectory(prefix="torii-benchmark-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            with jenkins(_serve, folder, server.address[1]) as place:
                _measure(server, place, folder, rounds, ours, floors)
    finally:
        server.stop()
    figure, floor = 1000 * median(ours[WARM:]), 1000 * median(floors[WARM:])
    slow = 1000 * quantiles(ours[WARM:], n=20)[-1] if rounds > 1 else figure
    print(f"script {floor:.1f} ms, Torii {figure:.1f} ms from command to result (19 of 20 within {slow:.1f} ms); {rounds} rounds")
    return Measurement("jenkins-overhead", figure, "ms", floor, figure / floor, f"at most {TARGET:g} ms", figure <= TARGET)


def _measure(server: Server, place: Place, folder: Path, rounds: int, ours: list[float], floors: list[float]) -> None:
    settings = place.settings(folder)
    controller = Controller(settings)
    blobs = FolderBlobs(folder / "blobs")
    gatherer = Gatherer({"ci": controller}, blobs)
    gatherer.start()
    results = StoredResults(blobs, "http://localhost")
    told = _Told()
    client, by_hand = Client([server.address], "benchmark"), Client([server.address], "script")
    farm = JenkinsFarm({"ci": controller}, {PROJECT: ("ci",)}, gatherer, "benchmark")
    dispatcher = GearmanDispatcher(client, told.post, JobLibrary(), results, b"a key", {PROJECT: "http://localhost/app"}, farm=farm)
    try:
        for _ in range(rounds + WARM):
            ours.append(_commanded(dispatcher, told, results))
            floors.append(_straight(by_hand, place))
    finally:
        dispatcher.stop(5)
        gatherer.stop(5)
        controller.close()
        by_hand.stop()


def _commanded(dispatcher: GearmanDispatcher, told: _Told, results: StoredResults) -> float:
    wanted = request()
    over = told.expect(wanted.id)
    began = time.perf_counter()
    dispatcher.start(wanted)
    if not over.wait(_LIMIT):
        raise TimeoutError(f"the build was not answered within {_LIMIT:g} s")
    took = time.perf_counter() - began
    outcome = results.outcome(wanted.id)
    assert outcome is not None, "the record is there before the gate is told"
    assert outcome.result is Result.SUCCESS, outcome
    return took - (outcome.duration or 0.0)


def _straight(client: Client, place: Place) -> float:
    wanted = request()
    began = time.perf_counter()
    said = json.loads(client.call(f"build:{JOB}", json.dumps({"TORII_UUID": wanted.id}).encode(), _LIMIT, unique=wanted.id))
    with requests.Session() as session:
        session.auth = (place.user, place.token)
        get = partial(session.get, timeout=_LIMIT)
        build = f"{place.url}/job/{JOB}/{said['number']}"
        found = get(f"{build}/api/json", params={"tree": "result,duration"}).json()
        assert found["result"] == "SUCCESS", found
        assert get(f"{build}/logText/progressiveText", params={"start": "0"}).content
    return time.perf_counter() - began - float(found["duration"]) / 1000


class _Told:
    """The gate's ear."""

    def __init__(self) -> None:
        self._expected: dict[BuildId, threading.Event] = {}

    def expect(self, build: BuildId) -> threading.Event:
        over = self._expected[build] = threading.Event()
        return over

    def post(self, events: Sequence[Event], cursor: Cursor | None = None) -> None:
        del cursor
        for event in events:
            if isinstance(event, BuildDone) and event.build in self._expected:
                self._expected.pop(event.build).set()


def _serve(pipe: Connection, folder: Path, port: int) -> None:
    """Be a Jenkins whose builds end at once."""
    with FakeJenkins(folder, gearman=[("127.0.0.1", port)], nodes=[FakeNode("agent", ("linux",), 2)]) as fake:
        fake.instant()
        pipe.send(Place.of(fake))
        pipe.recv()
