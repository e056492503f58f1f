"""The life of jobs and builds through the client, on the fake Jenkins, and what a build goes through that Jenkins lets down."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import wait_until
from torii.config.settings import JenkinsSettings, Secret
from torii.jenkins import Build, Controller, JenkinsError, JenkinsExistsError, JenkinsInvalidError, JenkinsMissingError, Queued
from torii.jenkins.errors import JenkinsRefusedError, JenkinsUnavailableError
from torii.model.build import Result
from torii.model.ids import BuildId
from torii.testing.jenkins import FakeJenkins, FakeNode, job_xml

MB = 1 << 20


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeJenkins]:
    nodes = [FakeNode("agent1", ("linux",), executors=2), FakeNode("agent3", ("special",), exclusive=True)]
    with FakeJenkins(tmp_path / "jenkins", nodes=nodes, base="/tools/ci") as started:
        started.add_folder("team/torii")
        yield started


def opened(fake: FakeJenkins, monkeypatch: pytest.MonkeyPatch, secret: str | None = None, **given: Any) -> Controller:
    monkeypatch.setenv("JENKINS_TOKEN", secret or fake.token)
    settings = {"user": fake.user, "folder": "team/torii", "timeout": 10.0, **given}
    return Controller(JenkinsSettings("ci", fake.url, token=Secret("env:JENKINS_TOKEN"), **settings), patience=0.01)


def parameters(uuid: str) -> dict[str, str]:
    return {"TORII_UUID": uuid, "SECS": "0"}


def made(controller: Controller, script: str = "echo hello") -> None:
    controller.create("unit", job_xml(script).encode())


@pytest.mark.parametrize("secret", ["token", "password"])
def test_a_job_from_its_making_to_its_end(fake: FakeJenkins, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    controller = opened(fake, monkeypatch, getattr(fake, secret))
    assert controller.jobs() == {}
    made(controller)
    with pytest.raises(JenkinsExistsError):
        made(controller)
    [job] = controller.jobs().values()
    assert (job.name, job.buildable) == ("unit", True)
    xml = controller.config("unit")
    assert xml is not None
    controller.update("unit", xml.replace(b"echo hello", b"echo changed"))
    assert b"echo changed" in (controller.config("unit") or b"")
    fake.disable_job("team/torii/unit")
    assert not controller.jobs()["unit"].buildable
    with pytest.raises(JenkinsInvalidError, match="disabled"):
        controller.start("unit", parameters("u"))
    controller.enable("unit")
    assert controller.jobs()["unit"].buildable
    with pytest.raises(JenkinsInvalidError, match="cannot make a job of this XML"):
        controller.update("unit", b"<broken")
    assert controller.delete("unit") is True
    assert controller.delete("unit") is False


def test_a_build_from_its_start_to_its_result(fake: FakeJenkins, monkeypatch: pytest.MonkeyPatch) -> None:
    controller = opened(fake, monkeypatch)
    made(controller, "echo hé; mkdir out; echo x >out/a.txt")
    fake.hold()
    fake.lag = 0.2
    item = controller.start("unit", parameters("u1"))
    wait_until(lambda: (controller.queued(item) or Queued(0, "")).number == 1, 10)
    assert controller.queued(item) == Queued(item, "unit", "u1", number=1)
    running = controller.running()
    assert {uuid: (build.job, build.number, build.node, build.result) for uuid, build in running.items()} == {
        "u1": ("unit", 1, "agent1", None)
    }
    fake.write("team/torii/unit", 1, b"\0\xff broken \xc3\n")
    log = controller.log("unit", 1)
    assert log.more
    fake.release("team/torii/unit", 1, "UNSTABLE")
    build = controller.build("unit", 1)
    assert build is not None
    assert (build.result, build.uuid, build.node) == (Result.UNSTABLE, "u1", "agent1")
    assert build.url == f"{fake.url}/job/team/job/torii/job/unit/1/"
    last = controller.log("unit", 1, log.next)
    assert last.data.endswith(b"Finished: UNSTABLE\n")
    assert not last.more
    controller.describe("unit", 1, "<b>é</b>")
    assert fake.build("team/torii/unit", 1).description == "<b>é</b>"  # type: ignore[union-attr]  # it is there
    assert isinstance(controller.find("unit", BuildId("u1")), Build)
    assert controller.find("unit", BuildId("u2")) is None
    fake.delete_build("team/torii/unit", 1)
    assert controller.build("unit", 1) is None
    with pytest.raises(JenkinsMissingError):
        controller.log("unit", 1)


def test_a_build_that_leaves_something(fake: FakeJenkins, monkeypatch: pytest.MonkeyPatch) -> None:
    controller = opened(fake, monkeypatch)
    made(controller)
    fake.instant()
    controller.start("unit", parameters("u1"))
    build = fake.wait_until_over("team/torii/unit", 1)
    build.artifacts = {"out/c d é.txt": b"content" * 1000}
    seen = controller.build("unit", 1)
    assert seen is not None
    assert seen.artifacts == ("out/c d é.txt",)
    assert b"".join(controller.artifact("unit", 1, seen.artifacts[0])) == b"content" * 1000
    assert controller.tests("unit", 1) is None


def test_a_build_that_waits_is_found_and_taken_out(fake: FakeJenkins, monkeypatch: pytest.MonkeyPatch) -> None:
    controller = opened(fake, monkeypatch)
    made(controller)
    fake.quiet_down(True)
    assert controller.quieting_down()
    item = controller.start("unit", parameters("u1"))
    found = controller.find("unit", BuildId("u1"))
    assert isinstance(found, Queued)
    assert (found.id, found.number) == (item, None)
    assert "shut" in found.why.lower()
    assert controller.queue() == (found,)
    controller.cancel(item)
    controller.cancel(item)
    assert controller.queue() == ()
    assert controller.queued(item).cancelled  # type: ignore[union-attr]  # it is there


def test_a_build_is_stopped_and_stopping_it_twice_does_no_harm(fake: FakeJenkins, monkeypatch: pytest.MonkeyPatch) -> None:
    controller = opened(fake, monkeypatch)
    made(controller)
    fake.hold()
    controller.start("unit", parameters("u1"))
    fake.wait_for_build("team/torii/unit", 1)
    controller.stop("unit", 1)
    fake.wait_until_over("team/torii/unit", 1)
    controller.stop("unit", 1)
    controller.stop("unit", 99)
    assert controller.build("unit", 1).result is Result.ABORTED  # type: ignore[union-attr]  # it is there


def test_a_build_among_many_comes_without_its_artifacts(fake: FakeJenkins, monkeypatch: pytest.MonkeyPatch) -> None:
    controller = opened(fake, monkeypatch)
    controller.create("unit", job_xml("echo made >made.txt", artifacts="*.txt").encode())
    controller.start("unit", parameters("u1"))
    fake.wait_until_over("team/torii/unit", 1)
    build = controller.build("unit", 1)
    assert build is not None
    assert build.artifacts == ("made.txt",)
    few = dataclasses.replace(build, artifacts=(), causes=())
    assert controller.find("unit", BuildId("u1")) == few
    assert controller.recent("unit") == {"u1": few}
    assert controller.last_builds()["unit"].number == 1


def test_the_nodes_and_plug_ins_are_read(fake: FakeJenkins, monkeypatch: pytest.MonkeyPatch) -> None:
    controller = opened(fake, monkeypatch)
    fake.take_offline("agent1")
    nodes = {node.name: node for node in controller.nodes()}
    assert set(nodes) == {"built-in", "agent1", "agent3"}
    assert nodes["agent1"].offline
    assert set(nodes["agent1"].labels) == {"agent1", "linux"}
    assert nodes["agent1"].executors == 2
    assert nodes["agent3"].exclusive
    assert not nodes["agent1"].exclusive
    assert controller.plugins()["git"].version == fake.plugins["git"]
    assert (controller.version(), controller.user()) == ("2.372", fake.user)


def test_half_a_gigabyte_of_log_is_read(fake: FakeJenkins, monkeypatch: pytest.MonkeyPatch) -> None:
    controller = opened(fake, monkeypatch)
    made(controller)
    fake.instant()
    controller.start("unit", parameters("u1"))
    fake.wait_until_over("team/torii/unit", 1)
    fake.huge_log("team/torii/unit", 1, 500 * MB)
    size = start = 0
    while True:
        piece = controller.log("unit", 1, start)
        assert len(piece.data) <= 4 * MB
        size, start = size + len(piece.data), piece.next
        if not piece.more:
            break
    assert start == 500 * MB
    assert size > 400 * MB
    assert len(fake.requests("progressiveText")) == 1


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (401, JenkinsRefusedError),
        (403, JenkinsRefusedError),
        ("login", JenkinsRefusedError),
        (404, JenkinsMissingError),
        (409, JenkinsInvalidError),
        (502, JenkinsUnavailableError),
        ("cut", JenkinsUnavailableError),
        ("half", JenkinsUnavailableError),
        ("after", JenkinsUnavailableError),
        ("html", JenkinsUnavailableError),
    ],
)
def test_each_fault_is_its_error(kind: int | str, error: type[JenkinsError], fake: FakeJenkins, monkeypatch: pytest.MonkeyPatch) -> None:
    controller = opened(fake, monkeypatch)
    made(controller)
    reads = kind in ("half", "html")
    fault = fake.fault(kind, "GET .*/job/torii/api" if reads else "POST .*/build", times=4)
    with pytest.raises(error):
        controller.jobs() if reads else controller.start("unit", parameters("u1"))
    assert fault.met == (4 if kind == "half" else 1)


def test_a_build_that_began_though_its_answer_was_lost_is_found(fake: FakeJenkins, monkeypatch: pytest.MonkeyPatch) -> None:
    controller = opened(fake, monkeypatch)
    made(controller)
    fake.hold()
    fake.fault("after", "POST .*/build")
    with pytest.raises(JenkinsUnavailableError):
        controller.start("unit", parameters("u1"))
    found = controller.find("unit", BuildId("u1"))
    assert found is not None
    assert found.uuid == "u1"


def test_a_jenkins_that_restarts_is_asked_on(fake: FakeJenkins, monkeypatch: pytest.MonkeyPatch) -> None:
    controller = opened(fake, monkeypatch, fake.password)
    made(controller)
    fake.down()
    with pytest.raises(JenkinsUnavailableError, match="Is Jenkins up"):
        controller.jobs()
    fake.up()
    assert set(controller.jobs()) == {"unit"}
    fake.restart(kill=True)
    controller.enable("unit")
    assert set(controller.jobs()) == {"unit"}
