"""What Torii asks of a Jenkins, against a web server that answers as the recordings of a real one do, or worse."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.support.jenkins_scripted import (
    Answer,
    Asked,
    ScriptedJenkins,
    answering,
    denied,
    in_turn,
    jetty,
    login_needed,
    oops,
    said,
    sent_on,
)
from torii.config.settings import JenkinsSettings, Secret
from torii.errors import OperatorError
from torii.jenkins import (
    Controller,
    JenkinsExistsError,
    JenkinsInvalidError,
    JenkinsMissingError,
    JenkinsRefusedError,
    Job,
)

FAST = 0.01


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> Secret:
    monkeypatch.setenv("JENKINS_TOKEN", "hush-hush")
    return Secret("env:JENKINS_TOKEN")


def opened(settings: JenkinsSettings) -> Controller:
    return Controller(settings, patience=FAST)


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


def ours(job: Job) -> bool:
    return job.name == "a"


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
        assert opened(server.settings(token)).may(wanted, ours) == {
            "Overall/Read": True,
            "Job/Create": False,
            "Job/Read": True,
            "Job/Configure": True,
            "Job/Build": True,
        }
        asked = len(server.asked)
        assert opened(server.settings(token)).may(wanted, lambda _: False) == {
            "Overall/Read": True,
            "Job/Create": False,
            "Job/Read": True,
        }
        assert not [each.path for each in server.asked[asked:] if each.path.startswith("/job/a/")]
    with ScriptedJenkins(answering({**answers, "GET /script": Answer(body=b"<html>")})) as server:
        assert all(opened(server.settings(token)).may(wanted, ours).values())
    with ScriptedJenkins(answering({}, login_needed())) as server:
        assert opened(server.settings(None)).may(wanted, ours) == {"Overall/Read": False}


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
