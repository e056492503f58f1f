"""What a real Jenkins 2.372 was recorded to say, read through the client."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.support.jenkins_scripted import Answer, Asked, ScriptedJenkins
from torii.config.settings import Secret
from torii.jenkins import Build, Controller, JenkinsRefusedError, LogPiece, Queued
from torii.model.build import Result, TestSummary

RECORDINGS = Path(__file__).resolve().parents[2] / "recordings" / "jenkins" / "rest"


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> Secret:
    monkeypatch.setenv("JENKINS_TOKEN", "hush-hush")
    return Secret("env:JENKINS_TOKEN")


def recorded(*scenarios: str) -> Callable[[Asked], Answer]:
    """Answers as recorded: by method and path, and where a log is asked for by its start; several one after another, the last for good."""
    answers: dict[tuple[str, str, str], list[Answer]] = {}
    for scenario in scenarios:
        for exchange in json.loads((RECORDINGS / f"{scenario}.json").read_text()):
            address = urlsplit(exchange["path"])
            key = (exchange["method"], unquote(address.path), address.query if "start=" in address.query else "")
            body = json.dumps(exchange["json"]) if "json" in exchange else exchange.get("text", "")
            headers: dict[str, str] = {name: value for name, value in exchange["headers"].items() if name != "Content-Encoding"}
            kind = headers.pop("Content-Type", "text/html")
            answers.setdefault(key, []).append(Answer(exchange["status"], body.encode(), kind, headers))

    def answer(asked: Asked) -> Answer:
        found = answers.get((asked.method, asked.path, f"start={asked.query['start']}" if "start" in asked.query else ""))
        if found is None:
            return Answer(404, b"<html><title>Error 404 Not Found</title></html>")
        return found.pop(0) if len(found) > 1 else found[0]

    return answer


def test_the_life_of_a_build(token: Secret) -> None:
    with ScriptedJenkins(recorded("b10_build_life")) as server:
        controller = Controller(server.settings(token), patience=0.01)
        waiting = controller.queued(98)
        assert waiting == Queued(98, "bl", why="In the quiet period. Expires in 2.9 sec")
        [queued] = controller.queue()
        assert queued == waiting
        while (left := controller.queued(98)) and left.number is None:
            pass
        assert left == Queued(98, "bl", number=1)
        running, ended = controller.build("bl", 1), controller.build("bl", 1)
        assert isinstance(running, Build)
        assert isinstance(ended, Build)
        assert (running.running, running.node, running.duration, running.causes) == (True, "built-in", None, ("Started by user admin",))
        assert (ended.result, ended.duration, ended.uuid) == (Result.SUCCESS, 4.023, "")
        cancelled = controller.queued(101)
        assert cancelled is not None
        assert (cancelled.cancelled, cancelled.number) == (True, None)
        assert controller.tests("bl", 1) is None


@pytest.mark.parametrize(("result", "number"), [(Result.ABORTED, 64), (Result.FAILURE, 62), (Result.UNSTABLE, 63)])
def test_each_end_of_a_build(result: Result, number: int, token: Secret) -> None:
    with ScriptedJenkins(recorded(f"b11_result_{result.value}")) as server:
        controller = Controller(server.settings(token))
        first, last = controller.build("plain", number), controller.build("plain", number)
    assert first is not None
    assert last is not None
    assert (first.running, last.result, last.word) == (True, result, result.value)


def test_a_log_that_grows(token: Secret) -> None:
    with ScriptedJenkins(recorded("b12_progressive_text")) as server:
        controller = Controller(server.settings(token))
        read, start, pieces = b"", 0, 0
        while True:
            piece = controller.log("bl", 7, start)
            read, start, pieces = read + piece.data, piece.next, pieces + 1
            if not piece.more:
                break
        assert start == 536
        assert read.decode().splitlines()[-6:] == [*(f"tick {number} é ✓" for number in range(1, 6)), "Finished: SUCCESS"]
        assert b"\r" not in read
        assert pieces > 5
        assert controller.log("bl", 7, 1536) == LogPiece(b"", 536, more=False)


def test_what_a_build_leaves(token: Secret) -> None:
    with ScriptedJenkins(recorded("b13_artifacts_tests")) as server:
        controller = Controller(server.settings(token))
        build = controller.build("artifacts", 3)
        assert build is not None
        assert build.artifacts == ("out/a.txt", "out/sub/b.txt", "out/sub/c d.txt")
        assert b"".join(controller.artifact("artifacts", 3, "out/a.txt")) == b"one\n"
        assert b"".join(controller.artifact("artifacts", 3, "out/sub/c d.txt")) == "é\n".encode()
        assert controller.tests("tests", 3) == TestSummary(3, 1, 1, ("a.B.bad",))


def test_why_builds_wait(token: Secret) -> None:
    with ScriptedJenkins(recorded("b14_quiet_down", "b16_queue_blocked")) as server:
        controller = Controller(server.settings(token))
        assert controller.quieting_down()
        why = {number: (item.job, item.why) for number in (115, 122, 123, 125) if (item := controller.queued(number))}
    assert why[115] == ("plain", "Jenkins is about to shut down")
    assert why[122][0] == "on-special"
    assert "nosuchlabel" in why[123][1]
    assert "already in progress" in why[125][1]


def test_a_pipeline_and_a_matrix(token: Secret) -> None:
    with ScriptedJenkins(recorded("b15_pipeline_matrix")) as server:
        controller = Controller(server.settings(token))
        builds = [controller.build("pipe", 3), controller.build("matrix", 3)]
    assert [build.result for build in builds if build] == [Result.SUCCESS, Result.SUCCESS]


def test_nodes_plug_ins_and_jobs(token: Secret) -> None:
    with ScriptedJenkins(recorded("b01_info")) as server:
        controller = Controller(server.settings(token))
        nodes = {node.name: (set(node.labels), node.executors, node.offline) for node in controller.nodes()}
        assert nodes == {
            "built-in": ({"master"}, 2, False),
            "agent1": ({"agent1", "linux", "x86"}, 2, False),
            "agent2": ({"agent2", "linux", "arm"}, 1, False),
            "agent3": ({"agent3", "special"}, 1, False),
        }
        assert controller.plugins()["pipeline-stage-step"].active
        assert (controller.user(), controller.version()) == ("admin", "2.372")
        assert not controller.about().quieting_down
        jobs = controller.jobs()
    assert jobs["artifacts"].kind == "hudson.model.FreeStyleProject"
    assert jobs["disabled-job"].url == "http://jenkins/job/disabled-job/"


def test_exclusive_nodes_tell_it_by_the_label_of_their_name(token: Secret) -> None:
    from torii.jenkins import reading  # what is asked for by a tree was recorded by a depth

    found: list[dict[str, Any]] = json.loads((RECORDINGS / "b01_info.json").read_text())
    deep = {urlsplit(each["path"]).path: each["json"] for each in found if each["path"].endswith("/api/json?depth=2")}
    assert reading.node(deep["/computer/agent3/api/json"]).exclusive
    assert not reading.node(deep["/computer/agent1/api/json"]).exclusive


@pytest.mark.parametrize("scenario", ["b20_auth", "b20_auth_strict"])
def test_nobody_in_particular_is_refused_in_words(scenario: str) -> None:
    with ScriptedJenkins(recorded(scenario)) as server:
        controller = Controller(server.settings(None), patience=0.01)
        for call in (controller.plugins, lambda: controller.update("plain", b"<p/>")):
            with pytest.raises(JenkinsRefusedError, match="403"):
                call()
