"""What Torii asks of a Jenkins, against a web server that answers as the recordings of a real one do, or worse."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.support.jenkins_scripted import Answer, Asked, ScriptedJenkins, denied, jetty, login_needed, oops, said, sent_on
from torii.config.settings import JenkinsSettings, Secret
from torii.errors import OperatorError
from torii.jenkins import (
    Build,
    Controller,
    JenkinsExistsError,
    JenkinsInvalidError,
    JenkinsMissingError,
    JenkinsRefusedError,
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


def answering(answers: Mapping[str, Any], default: Answer | None = None) -> Callable[[Asked], Answer]:
    """Answers by `METHOD /path`; what is not in the list is 404, as Jetty says it."""

    def answer(asked: Asked) -> Answer:
        found = answers.get(f"{asked.method} {asked.path}", default or jetty(404, "Not Found"))
        answered: Answer = found if isinstance(found, Answer) else found(asked)
        return answered

    return answer


def in_turn(*answers: Answer) -> Callable[[Asked], Answer]:
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


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


def test_all_jobs_of_the_folder_are_one_request(token: Secret) -> None:
    listing = {
        "_class": "com.cloudbees.hudson.plugins.folder.Folder",
        "jobs": [
            {
                "_class": "hudson.model.FreeStyleProject",
                "name": "unit",
                "description": "<b>é</b>",
                "buildable": True,
                "url": "http://x/job/unit/",
            },
            {"_class": "hudson.model.FreeStyleProject", "name": "off", "description": None, "buildable": False, "url": "http://x/job/off/"},
            {"_class": "com.cloudbees.hudson.plugins.folder.Folder", "name": "deeper", "url": "http://x/job/deeper/"},
        ],
    }
    with ScriptedJenkins(answering({"GET /ci/job/team/job/torii/api/json": said(listing)})) as server:
        jobs = opened(server.settings(token, "/ci", folder="team/torii")).jobs()
        [asked] = server.asked
    assert [(job.name, job.description, job.buildable) for job in jobs.values()] == [
        ("unit", "<b>é</b>", True),
        ("off", "", False),
        ("deeper", "", True),
    ]
    assert jobs["deeper"].kind.endswith("Folder")
    assert asked.query == {"tree": "jobs[name,description,buildable,url]"}
    assert asked.headers["Authorization"] == "Basic dG9yaWk6aHVzaC1odXNo"


def test_a_token_needs_no_crumb_and_its_connection_is_kept(token: Secret) -> None:
    with ScriptedJenkins(answering({"POST /createItem": Answer(), "POST /job/a/config.xml": Answer()})) as server:
        controller = opened(server.settings(token))
        controller.create("a", b"<project/>")
        thread = threading.Thread(target=controller.update, args=("a", "<p>é</p>".encode()))
        thread.start()
        thread.join()
        created, updated = server.asked
    assert server.paths == ["POST /createItem", "POST /job/a/config.xml"]
    assert created.query == {"name": "a"}
    assert (created.body, updated.body) == (b"<project/>", "<p>é</p>".encode())
    assert updated.headers["Content-Type"] == "text/xml; charset=utf-8"
    assert created.line == updated.line


def test_a_password_gets_a_crumb_with_its_session_and_a_new_one_after_a_restart(token: Secret) -> None:
    sessions: list[str] = []

    def crumb(_: Asked) -> Answer:
        sessions.append(f"S{len(sessions)}")
        return said(
            {"crumb": f"crumb-of-{sessions[-1]}", "crumbRequestField": "Jenkins-Crumb"},
            **{"Set-Cookie": f"JSESSIONID.a={sessions[-1]}; Path=/"},
        )

    def enable(asked: Asked) -> Answer:
        known = bool(sessions) and asked.headers.get("Jenkins-Crumb") == f"crumb-of-{sessions[-1]}"
        with_cookie = bool(sessions) and f"JSESSIONID.a={sessions[-1]}" in asked.headers.get("Cookie", "")
        return sent_on("/job/a/") if known and with_cookie else jetty(403, "No valid crumb was included in the request")

    with ScriptedJenkins(answering({"GET /crumbIssuer/api/json": crumb, "POST /job/a/enable": enable})) as server:
        controller = opened(server.settings(token))
        controller.enable("a")
        controller.enable("a")
        assert server.paths == ["POST /job/a/enable", "GET /crumbIssuer/api/json", "POST /job/a/enable", "POST /job/a/enable"]
        sessions.append("another process")
        controller.enable("a")
        assert server.paths[4:] == ["POST /job/a/enable", "GET /crumbIssuer/api/json", "POST /job/a/enable"]


def test_a_crumb_that_never_helps_is_a_refusal_with_a_way_out(token: Secret) -> None:
    answers = {"GET /crumbIssuer/api/json": said({"crumb": "c", "crumbRequestField": "Jenkins-Crumb"})}
    with ScriptedJenkins(answering(answers, jetty(403, "No valid crumb was included in the request"))) as server:
        with pytest.raises(JenkinsRefusedError, match=r"give an API token as `token` of jenkins.ci"):
            opened(server.settings(token)).enable("a")
        assert len(server.asked) == 3


def test_a_missing_folder_is_said_so(token: Secret) -> None:
    with ScriptedJenkins(answering({})) as server:
        controller = opened(server.settings(token, folder="team"))
        for call in (controller.jobs, lambda: controller.create("a", b"<p/>")):
            with pytest.raises(JenkinsMissingError, match=r"The folder 'team' of jenkins.ci has to be there: make it in Jenkins"):
                call()
    with ScriptedJenkins(answering({"GET /job/team/api/json": said({"_class": "hudson.model.FreeStyleProject"})})) as server:
        controller = opened(server.settings(token, folder="team"))
        with pytest.raises(JenkinsMissingError, match="FreeStyleProject is no folder"):
            controller.jobs()


def test_how_a_job_cannot_be_made_is_told_apart(token: Secret) -> None:
    taken = Answer(400, b"<html><body>Error</body></html>", headers={"X-Error": "A job already exists with the name  a "})
    unsafe = Answer(400, b"<html><body>Error</body></html>", headers={"X-Error": "?  is an unsafe character"})
    with ScriptedJenkins(in_turn(taken, unsafe, oops())) as server:
        controller = opened(server.settings(token))
        with pytest.raises(JenkinsExistsError, match="already exists"):
            controller.create("a", b"<p/>")
        with pytest.raises(JenkinsInvalidError, match="is an unsafe character"):
            controller.create("a?b", b"<p/>")
        with pytest.raises(JenkinsInvalidError, match="Jenkins cannot make a job of this XML"):
            controller.create("a", b"<x")
        assert len(server.asked) == 3


@pytest.mark.parametrize("name", ["", "a/b", ".", "..", "a\nb"])
def test_a_name_that_would_be_another_address_is_asked_of_nobody(name: str, token: Secret) -> None:
    with ScriptedJenkins(answering({})) as server:
        with pytest.raises(JenkinsInvalidError, match="can be no job's name"):
            opened(server.settings(token)).delete(name)
        assert server.asked == []


def test_deleting_what_is_gone_is_no_error_and_where_jenkins_leads_next_is_nobodys_business(token: Secret) -> None:
    with ScriptedJenkins(answering({"POST /job/a b/doDelete": sent_on("http://elsewhere.example.com:8080/")})) as server:
        controller = opened(server.settings(token))
        assert controller.delete("a b") is True
        assert controller.delete("gone") is False
        assert controller.config("gone") is None
        assert server.paths == ["POST /job/a b/doDelete", "POST /job/gone/doDelete", "GET /job/gone/config.xml"]


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


def item_json(number: int, job: str, **given: Any) -> dict[str, Any]:
    return {"_class": "hudson.model.Queue$BuildableItem", "id": number, "actions": [PARAMETERS], "why": None, "stuck": False, **given} | {
        "task": {"_class": "hudson.model.FreeStyleProject", "name": job, "url": f"http://x/ci/job/team/job/{job}/"}
    }


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


def test_who_where_and_what_jenkins_is(token: Secret) -> None:
    label = {"name": "agent3", "nodes": [{"nodeName": "agent3", "mode": "EXCLUSIVE"}]}
    computers = [
        {
            "_class": "hudson.model.Hudson$MasterComputer",
            "displayName": "master",
            "assignedLabels": [{"name": "master"}],
            "numExecutors": 2,
        },
        {
            "displayName": "agent3",
            "assignedLabels": [label, {"name": "special"}],
            "numExecutors": 1,
            "offline": True,
            "offlineCauseReason": "repair",
        },
    ]
    plugins = [
        {"shortName": "git", "version": "4.11.4", "active": True, "enabled": True},
        {"shortName": "junit", "version": "1", "active": False},
    ]
    answers = {
        "GET /api/json": said({"quietingDown": True}),
        "GET /me/api/json": said({"id": "torii"}),
        "GET /pluginManager/api/json": said({"plugins": plugins}),
        "GET /computer/api/json": said({"computer": computers}),
    }
    with ScriptedJenkins(answering(answers)) as server:
        controller = opened(server.settings(token))
        assert (controller.version(), controller.user(), controller.quieting_down()) == ("2.372", "torii", True)
        assert {name: (plugin.version, plugin.active) for name, plugin in controller.plugins().items()} == {
            "git": ("4.11.4", True),
            "junit": ("1", False),
        }
        built_in, agent = controller.nodes()
    assert (built_in.name, built_in.labels, built_in.executors, built_in.exclusive, built_in.offline) == (
        "built-in",
        ("master",),
        2,
        False,
        False,
    )
    assert (agent.name, agent.labels, agent.exclusive, agent.offline, agent.why_offline) == (
        "agent3",
        ("agent3", "special"),
        True,
        True,
        "repair",
    )


def test_permissions_are_seen_without_changing_anything(token: Secret) -> None:
    job = {"name": "a", "property": [{}, {"parameterDefinitions": [{"name": "TORII_UUID"}]}]}
    answers = {
        "GET /api/json": said({"jobs": [job]}),
        "GET /script": denied("builder", "Overall/Administer", "hudson.model.Hudson.Administer"),
        "POST /createItem": denied("builder", "Job/Create", "hudson.model.Item.Create"),
        "GET /job/a/config.xml": Answer(body=b"<project/>", kind="application/xml"),
        "POST /job/a/build": jetty(400, "Nothing is submitted"),
    }
    with ScriptedJenkins(answering(answers)) as server:
        wanted = ("Overall/Read", "Job/Create", "Job/Read", "Job/Configure", "Job/Build", "Job/Delete")
        assert opened(server.settings(token)).may(wanted) == {
            "Overall/Read": True,
            "Job/Create": False,
            "Job/Read": True,
            "Job/Configure": True,
            "Job/Build": True,
        }
    with ScriptedJenkins(answering({**answers, "GET /script": Answer(body=b"<html>")})) as server:
        assert all(opened(server.settings(token)).may(wanted).values())
    with ScriptedJenkins(answering({}, login_needed())) as server:
        assert opened(server.settings(None)).may(wanted) == {"Overall/Read": False}


def test_the_token_is_read_when_it_is_used(token: Secret, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedJenkins(answering({"GET /me/api/json": said({"id": "torii"})})) as server:
        controller = opened(server.settings(token))
        controller.user()
        monkeypatch.setenv("JENKINS_TOKEN", "new")
        controller.user()
        assert len({asked.headers["Authorization"] for asked in server.asked}) == 2
        monkeypatch.delenv("JENKINS_TOKEN")
        with pytest.raises(OperatorError, match="JENKINS_TOKEN"):
            controller.user()


def test_nobody_in_particular_asks_without_a_login_whatever_the_machine_knows(
    token: Secret, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("JENKINS_API_EXTRA_HEADERS", "X-Extra: yes")
    with ScriptedJenkins(answering({"GET /me/api/json": said({"id": "anonymous"})})) as server:
        opened(server.settings(None)).user()
        opened(server.settings(token)).user()
        nobody, somebody = server.asked
    assert "Authorization" not in nobody.headers
    assert somebody.headers["Authorization"] == "Basic dG9yaWk6aHVzaC1odXNo"
    assert "X-Extra" not in somebody.headers
