"""The roles as processes of their own: any of them may be killed with -9 at the worst moment, and each stops when it is asked to."""

from __future__ import annotations

import contextlib
import http.client
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.git_servers import set_hook
from tests.support.parts import binary
from tests.support.rig import LIMIT, Process, Rig, command_of
from tests.support.waiting import free_port
from torii.gearman import GearmanUnavailableError
from torii.gearman.admin import functions
from torii.model.build import Result
from torii.worker.reaper import descendants

pytestmark = pytest.mark.timeout(300)  # for a machine that is busy with much else


class Split:
    """A rig whose roles have processes of their own, and one change that is gated by a build which waits to be told to end."""

    def __init__(self, folder: Path, gearmand: str = "torii") -> None:
        self.port = free_port()
        self.rig = Rig(folder, {"gearman": {"port": self.port}})
        self.rig.seed({"unit": self.rig.job(self.rig.until("go"))}, {"check": [], "gate": ["unit"], "post": []})
        self.gearmand_kind = gearmand
        self.gearmand = self.start_gearmand()
        self.mergers = [self.rig.run("merger") for _ in range(2)]
        self.worker = self.rig.run("worker")
        self.scheduler = self.rig.run("scheduler")
        for process in (*self.mergers, self.worker, self.scheduler):
            process.ready()

    def start_gearmand(self) -> Process:
        if self.gearmand_kind == "torii":
            return self.rig.run("gearmand").ready()
        program = binary("gearmand")
        assert program is not None
        started = self.rig.start([program, "-L", "127.0.0.1", "-p", str(self.port), "-l", "stderr"], "gearmand")
        self.rig.wait(self._gearmand_answers)
        return started

    def _gearmand_answers(self) -> bool:
        try:
            functions(("127.0.0.1", self.port), 1.0)
        except GearmanUnavailableError:
            return False
        return True

    def approve(self, name: str = "fix") -> None:
        self.rig.change(name)
        self.rig.push(approve=[name])

    def building(self, name: str = "fix") -> None:
        """Wait until the build of the change runs, and the scheduler knows."""
        self.rig.wait(lambda: self.rig.ran(name) and [build for build in self.rig.builds(name) if build.state == "running"])


@pytest.fixture
def split(tmp_path: Path) -> Iterator[Split]:
    made = Split(tmp_path)
    yield made
    made.rig.close()


@pytest.fixture(params=["torii", pytest.param("gearmand", marks=pytest.mark.needs("gearmand"))])
def either(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Split]:
    made = Split(tmp_path, request.param)
    yield made
    made.rig.close()


# -- kill -9


@pytest.mark.parametrize("ends", ["while the scheduler is away", "after it is back"])
def test_a_build_outlives_its_scheduler_and_is_adopted_not_run_twice(split: Split, ends: str) -> None:
    rig = split.rig
    split.approve()
    split.building()
    split.scheduler.kill()
    if ends == "while the scheduler is away":
        rig.say("go")
        rig.wait(lambda: list((rig.state / "blobs").rglob("result.json")))
        rig.run("scheduler").ready()
    else:
        back = rig.run("scheduler").ready()
        rig.wait(lambda: back.logged("dispatch.adopted") or back.logged("dispatch.asked_again"))
        rig.say("go")
    assert rig.wait_for_outcome("fix") == "merged"
    assert len(rig.ran("fix")) == 1
    assert [(build.attempt, build.result) for build in rig.builds("fix")] == [(1, Result.SUCCESS)]
    assert rig.history() == ["fix", "torii.yml", "base"]
    rig.wait(lambda: sorted(rig.reports().values()) == [1] * len(rig.items()))


def test_a_build_whose_worker_is_killed_is_lost_and_run_again_elsewhere(split: Split) -> None:
    rig = split.rig
    split.approve()
    split.building()
    split.worker.kill()
    rig.wait(lambda: not rig.builders())
    rig.run("worker").ready()
    rig.wait(lambda: len(rig.ran("fix")) == 2)
    rig.say("go")
    assert rig.wait_for_outcome("fix") == "merged"
    assert any("was lost and runs again (attempt 2 of" in text for text in rig.why("fix"))
    assert [(build.attempt, build.result) for build in rig.builds("fix")] == [(1, Result.LOST), (2, Result.SUCCESS)]
    rig.wait(lambda: not rig.workspaces())


def test_a_merge_whose_merger_is_killed_is_made_by_another(split: Split) -> None:
    rig = split.rig
    rig.say("go")
    began, release = rig.traces / "pushing", rig.words / "pushed"
    set_hook(
        rig.lab.repository(),
        "pre-receive",
        f"grep -q refs/staging/ || exit 0\necho >> {began}\nuntil [ -e {release} ]; do sleep 0.05; done",
    )
    split.approve()
    rig.wait(began.exists)
    busy = [merger for merger in split.mergers if _pushes(merger)]  # check's merge may be made at the same time
    busy[0].kill()
    release.touch()
    assert rig.wait_for_outcome("fix") == "merged"
    assert len(rig.ran("fix")) == 1
    assert split.scheduler.logged("merger.asked_again")
    rig.wait(lambda: not rig.staging_refs())


def _pushes(merger: Process) -> bool:
    return any(b"receive-pack" in command_of(pid) for pid in descendants(merger.pid))


@pytest.mark.parametrize("ends", ["while the server is away", "after it is back"])
def test_a_build_outlives_its_gearman_server_and_is_not_run_twice(either: Split, ends: str) -> None:
    rig = either.rig
    either.approve()
    either.building()
    either.gearmand.kill()
    if ends == "while the server is away":
        rig.say("go")
        rig.wait(lambda: list((rig.state / "blobs").rglob("result.json")))
    either.start_gearmand()
    rig.say("go")
    assert rig.wait_for_outcome("fix") == "merged"
    assert len(rig.ran("fix")) == 1
    assert [(build.attempt, build.result) for build in rig.builds("fix")] == [(1, Result.SUCCESS)]
    either.approve("next")
    assert rig.wait_for_outcome("next") == "merged"


# -- one scheduler a store


@pytest.mark.parametrize("second", ["scheduler", "up"])
def test_a_second_scheduler_is_refused_and_disturbs_nobody(tmp_path: Path, second: str) -> None:
    rig = Rig(tmp_path)
    try:
        rig.seed({"unit": rig.job("true")}, {"check": ["unit"], "gate": ["unit"], "post": []})
        first = rig.up()
        refused = rig.run(second)
        assert refused.end() == 4
        assert refused.out.read_text() == ""
        assert refused.log.read_text() == (
            f"torii: {rig.state} already has its scheduler: process {first.pid}; "
            "stop that one first, or give this one a --state of its own\n"
        )
        rig.change("fix")
        rig.push(approve=["fix"])
        assert rig.wait_for_outcome("fix") == "merged"
        assert first.stop() == 0
        assert rig.run(second).ready().stop() == 0
    finally:
        rig.close()


# -- SIGTERM and Ctrl-C


def terminated(process: Process) -> int:
    return process.stop(signal.SIGTERM)


def interrupted(process: Process) -> int:
    """As a terminal does it: everything that the process started is interrupted, too."""
    return process.stop(signal.SIGINT, group=True)


@pytest.mark.parametrize("stopped", [terminated, interrupted])
def test_each_subcommand_stops_within_five_seconds_in_the_middle_of_its_work(split: Split, stopped: Callable[[Process], int]) -> None:
    rig = split.rig
    split.approve()
    split.building()
    follower = Follower(split.scheduler.url, rig.builds("fix")[0].id)
    for process in (split.scheduler, split.worker, *split.mergers, split.gearmand):
        assert stopped(process) == 0, process.said
        assert "Traceback" not in process.said
    follower.join()
    rig.wait(lambda: not rig.builders())
    rig.say("go")
    split.start_gearmand()
    for role in ("merger", "worker", "scheduler"):
        rig.run(role)
    assert rig.wait_for_outcome("fix") == "merged"


@pytest.mark.parametrize("stopped", [terminated, interrupted])
def test_up_stops_within_five_seconds_in_the_middle_of_its_work(tmp_path: Path, stopped: Callable[[Process], int]) -> None:
    rig = Rig(tmp_path)
    try:
        rig.seed({"unit": rig.job("trap '' TERM INT", rig.until("go"))}, {"check": ["unit"], "gate": ["unit"], "post": []})
        up = rig.up()
        rig.change("fix")
        rig.push(approve=["fix"])
        rig.wait(lambda: len(rig.runs) == 2)
        follower = Follower(up.url, rig.builds("fix")[0].id)
        assert stopped(up) == 0, up.said
        assert "Traceback" not in up.said
        follower.join()
        assert rig.builders() == []
        rig.say("go")
        rig.up()
        assert rig.wait_for_outcome("fix") == "merged"
    finally:
        rig.close()


class Follower(threading.Thread):
    """Somebody who watches the log of a build that runs, as a browser does: over a connection that stays open."""

    def __init__(self, url: str, build: str) -> None:
        super().__init__(name="follower", daemon=True)
        self._url, self._path = urlsplit(url), f"/builds/{build}/log/rows"
        self._following = threading.Event()
        self.start()
        assert self._following.wait(LIMIT)

    def run(self) -> None:
        connection = http.client.HTTPConnection(self._url.hostname or "", self._url.port, timeout=LIMIT)
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                connection.request("GET", self._path)
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    self._following.set()

    def join(self, timeout: float | None = LIMIT) -> None:
        super().join(timeout)
        assert not self.is_alive()
