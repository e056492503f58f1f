"""Builds in a Jenkins as the client sees them: asked for, waiting, running, ended, and what they leave."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from tests.support.jenkins_scripted import (
    Answer,
    Asked,
    ScriptedJenkins,
    answering,
    in_turn,
    jetty,
    oops,
    said,
    sent_on,
)
from torii.config.settings import JenkinsSettings, Secret
from torii.jenkins import (
    Build,
    Controller,
    JenkinsInvalidError,
    JenkinsMissingError,
    JenkinsUnavailableError,
    Queued,
)
from torii.model.build import Result, TestSummary
from torii.model.ids import BuildId

FAST = 0.01
UUID = BuildId("5f0c")
PARAMETERS = {"_class": "hudson.model.ParametersAction", "parameters": [{"name": "TORII_UUID", "value": UUID}]}
CAUSES = {"_class": "hudson.model.CauseAction", "causes": [{"shortDescription": "Started by user admin"}]}


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> Secret:
    monkeypatch.setenv("JENKINS_TOKEN", "hush-hush")
    return Secret("env:JENKINS_TOKEN")


def opened(settings: JenkinsSettings) -> Controller:
    return Controller(settings, patience=FAST)


def build_json(**given: Any) -> dict[str, Any]:
    return {
        "_class": "hudson.model.FreeStyleBuild",
        "actions": [PARAMETERS, {}, CAUSES, None],
        "artifacts": [{"displayPath": "a.txt", "fileName": "a.txt", "relativePath": "out/a.txt"}],
        "building": False,
        "description": None,
        "duration": 4023,
        "number": 7,
        "result": "SUCCESS",
        "timestamp": 1795352573000,
        "url": "http://jenkins.example.com/job/unit/7/",
        "builtOn": "agent1",
        **given,
    }


def item_json(number: int, job: str, **given: Any) -> dict[str, Any]:
    return {"_class": "hudson.model.Queue$BuildableItem", "id": number, "actions": [PARAMETERS], "why": None, "stuck": False, **given} | {
        "task": {"_class": "hudson.model.FreeStyleProject", "name": job, "url": f"http://x/ci/job/team/job/{job}/"}
    }


def test_a_build_is_read_with_care(token: Secret) -> None:
    answers = {
        "GET /job/unit/7/api/json": said(build_json()),
        "GET /job/unit/8/api/json": said(build_json(number=8, building=True, duration=0, builtOn="")),
        "GET /job/unit/9/api/json": said(
            {"number": 9, "result": "ABORTED", "description": "Stopped by Torii after 30 minutes", "actions": "?"}
        ),
        "GET /job/unit/10/api/json": said({"number": 10, "result": "SOMETHING"}),
    }
    with ScriptedJenkins(answering(answers)) as server:
        controller = opened(server.settings(token, folder=""))
        assert controller.build("unit", 7) == Build(
            job="unit",
            number=7,
            url="http://jenkins.example.com/job/unit/7/",
            result=Result.SUCCESS,
            word="SUCCESS",
            uuid=UUID,
            node="agent1",
            started_at=1795352573.0,
            duration=4.023,
            causes=("Started by user admin",),
            artifacts=("out/a.txt",),
        )
        still = controller.build("unit", 8)
        assert still is not None
        assert (still.running, still.word, still.node, still.duration) == (True, "", "built-in", None)
        stopped = controller.build("unit", 9)
        assert stopped is not None
        assert (stopped.result, stopped.word, stopped.uuid, stopped.url) == (Result.TIMED_OUT, "ABORTED", "", f"{server.url}/job/unit/9/")
        assert controller.build("unit", 10).result is Result.FAILURE  # type: ignore[union-attr]  # it is there
        assert controller.build("unit", 11) is None


def test_a_build_is_started_with_a_form_and_without_a_quiet_period(token: Secret) -> None:
    answers = {
        "POST /job/team/job/a/buildWithParameters": sent_on("http://another.root/ci/queue/item/98/", 201),
        "POST /job/team/job/plain/build": sent_on("http://another.root/queue/item/99", 303),
        "POST /job/team/job/off/build": oops(409),
        "POST /job/team/job/odd/build": Answer(),
    }
    with ScriptedJenkins(answering(answers)) as server:
        controller = opened(server.settings(token, folder="team"))
        many = {"TORII_UUID": UUID, "TORII_CHANGES": "x" * 20_000, "TEXT": "aé ✓ & = +%"}
        assert controller.start("a", many) == 98
        assert controller.start("plain", {}) == 99
        assert server.asked[0].form == many
        assert server.asked[0].query == {"delay": "0sec"}
        with pytest.raises(JenkinsInvalidError, match="The job is disabled"):
            controller.start("off", {})
        with pytest.raises(JenkinsMissingError):
            controller.start("gone", {})
        with pytest.raises(JenkinsUnavailableError, match="item of the queue"):
            controller.start("odd", {})
        assert len(server.asked) == 5


def test_the_queue_is_that_of_the_folder_and_an_item_that_left_says_its_build(token: Secret) -> None:
    why = "There are no nodes with the label \u2018arm\u2019"
    other = item_json(5, "unit") | {"task": {"name": "unit", "url": "http://x/job/unit/"}}
    answers = {
        "GET /queue/api/json": said({"items": [item_json(1, "unit", why=why, stuck=True), other, {"id": "x"}, item_json(2, "lint")]}),
        "GET /queue/item/1/api/json": said(item_json(1, "unit", cancelled=False, executable={"number": 12, "url": "x"})),
        "GET /queue/item/2/api/json": said(item_json(2, "lint", cancelled=False, executable=None)),
        "GET /queue/item/3/api/json": said(item_json(3, "lint", cancelled=True)),
    }
    with ScriptedJenkins(answering(answers)) as server:
        controller = opened(server.settings(token, folder="team"))
        assert controller.queue() == (Queued(1, "unit", UUID, why, stuck=True), Queued(2, "lint", UUID))
        assert controller.queued(1) == Queued(1, "unit", UUID, number=12)
        assert controller.queued(2) == Queued(2, "lint", UUID)
        assert controller.queued(3) == Queued(3, "lint", UUID, cancelled=True)
        assert controller.queued(4) is None


def test_stopping_and_cancelling_what_is_over_is_no_error(token: Secret) -> None:
    answers = {
        "POST /job/a/1/stop": sent_on("/job/a/1/"),
        "POST /queue/cancelItem": in_turn(Answer(204), oops(500), jetty(404, "Not Found"), oops(503)),
    }
    with ScriptedJenkins(answering(answers)) as server:
        controller = opened(server.settings(token))
        controller.stop("a", 1)
        controller.stop("a", 2)
        for _ in range(3):
            controller.cancel(98)
        assert server.asked[-1].query == {"id": "98"}
        with pytest.raises(JenkinsUnavailableError):
            controller.cancel(98)


def test_a_description_is_sent_as_it_is(token: Secret) -> None:
    with ScriptedJenkins(answering({"POST /job/a/1/submitDescription": sent_on("/job/a/1/")})) as server:
        controller = opened(server.settings(token))
        controller.describe("a", 1, '<a href="x?a=1&amp;b">é</a>')
        assert server.asked[0].form == {"description": '<a href="x?a=1&amp;b">é</a>'}
        with pytest.raises(JenkinsMissingError):
            controller.describe("a", 2, "")


def test_all_that_runs_is_one_request_and_only_what_is_ours(token: Secret) -> None:
    def running(number: int, job: str, **given: Any) -> dict[str, Any]:
        return {"number": number, "url": f"http://root/x/job/team/job/{job}/{number}/", "building": True, "actions": [PARAMETERS], **given}

    computers = [
        {
            "_class": "hudson.model.Hudson$MasterComputer",
            "displayName": "Built-In Node",
            "executors": [{"currentExecutable": None}, {}],
            "oneOffExecutors": [
                {"currentExecutable": running(3, "a%20b", actions=[{"parameters": [{"name": "TORII_UUID", "value": "pipe"}]}])}
            ],
        },
        {
            "displayName": "agent1",
            "executors": [{"currentExecutable": running(4, "unit")}, {"currentExecutable": running(5, "unit", actions=[])}],
        },
        {
            "displayName": "agent2",
            "executors": [{"currentExecutable": {"number": 6, "url": "http://root/job/unit/6/", "actions": [PARAMETERS]}}],
        },
    ]
    with ScriptedJenkins(answering({"GET /computer/api/json": said({"computer": computers})})) as server:
        found = opened(server.settings(token, folder="team")).running()
        assert len(server.asked) == 1
    assert {uuid: (build.job, build.number, build.node, build.running) for uuid, build in found.items()} == {
        "pipe": ("a b", 3, "built-in", True),
        UUID: ("unit", 4, "agent1", True),
    }


def test_a_build_is_found_by_its_uuid_in_the_queue_among_the_newest_and_among_the_older(token: Secret) -> None:
    old = build_json(number=1, actions=[{"parameters": [{"name": "TORII_UUID", "value": "old"}]}])

    def builds(asked: Asked) -> Answer:
        tree = asked.query["tree"]
        return said({"allBuilds": [old]} if tree.startswith("allBuilds") else {"builds": [build_json(number=8), build_json(number=7)]})

    items = [item_json(3, "unit") | {"actions": [{"parameters": [{"name": "TORII_UUID", "value": "waits"}]}]}]
    answers = {"GET /job/team/job/unit/api/json": builds, "GET /queue/api/json": said({"items": items})}
    with ScriptedJenkins(answering(answers)) as server:
        controller = opened(server.settings(token, folder="team"))
        newest, waiting, older = (controller.find("unit", BuildId(uuid)) for uuid in (UUID, "waits", "old"))
        assert isinstance(newest, Build)
        assert isinstance(older, Build)
        assert (newest.number, older.number) == (8, 1)
        assert waiting == Queued(3, "unit", "waits")
        assert controller.find("unit", BuildId("unknown")) is None
        assert controller.find("gone", UUID) is None


def test_the_newest_builds_of_a_job_are_one_request(token: Secret) -> None:
    other = build_json(number=5, actions=[{"parameters": [{"name": "TORII_UUID", "value": "other"}]}])
    builds = [build_json(number=8), {"number": 7, "actions": []}, build_json(number=6), other, {"actions": [PARAMETERS]}]
    with ScriptedJenkins(answering({"GET /job/unit/api/json": said({"allBuilds": builds})})) as server:
        controller = opened(server.settings(token))
        assert {uuid: build.number for uuid, build in controller.recent("unit").items()} == {UUID: 8, "other": 5}
        assert len(server.asked) == 1
        assert controller.recent("gone") == {}


def test_a_build_that_has_left_the_queue_and_is_not_yet_to_be_seen_is_waited_for(token: Secret) -> None:
    answers = {
        "GET /queue/api/json": said({"items": []}),
        "GET /job/unit/api/json": in_turn(said({"builds": []}), said({"builds": [build_json()]})),
    }
    with ScriptedJenkins(answering(answers)) as server:
        found = opened(server.settings(token)).find("unit", UUID)
    assert isinstance(found, Build)


def test_a_test_report_is_counted_and_its_failing_names_are_asked_for_where_there_are_any(token: Secret) -> None:
    cases = [{"className": "a.B", "name": "c", "status": status} for status in ("PASSED", "FAILED", "REGRESSION")] + [
        {"name": "d", "status": "FAILED"}
    ]

    def report(asked: Asked) -> Answer:
        return said({"suites": [{"cases": cases}]} if "suites" in asked.query["tree"] else {"failCount": 2, "skipCount": 1, "passCount": 4})

    fine = said({"failCount": 0, "skipCount": 0, "totalCount": 9})
    with ScriptedJenkins(answering({"GET /job/a/1/testReport/api/json": report, "GET /job/a/2/testReport/api/json": fine})) as server:
        controller = opened(server.settings(token))
        assert controller.tests("a", 1) == TestSummary(7, 2, 1, ("a.B.c", "d"))
        assert controller.tests("a", 2) == TestSummary(9, 0, 0)
        assert controller.tests("a", 3) is None


def test_an_artifact_comes_in_pieces_and_unpacked(token: Secret) -> None:
    content = bytes(range(256)) * 4096
    packed = Answer(body=gzip.compress(content), kind="application/octet-stream", headers={"Content-Encoding": "gzip"})
    with ScriptedJenkins(answering({"GET /job/a/1/artifact/out/sub/c d é.bin": packed, "GET /job/a/1/artifact/empty": Answer()})) as server:
        controller = opened(server.settings(token))
        pieces = list(controller.artifact("a", 1, "out/sub/c d é.bin"))
        assert len(pieces) > 1
        assert b"".join(pieces) == content
        assert list(controller.artifact("a", 1, "empty")) == []
        for path in ("gone", "../1/config.xml", "/etc/passwd"):
            with pytest.raises(JenkinsMissingError):
                list(controller.artifact("a", 1, path))
