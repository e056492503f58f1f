"""`torii jenkins check` on a Jenkins that is well, and on one where a single thing is not."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.gearman_servers import Gearmand
from tests.support.gerrit_config import torii
from tests.support.git_lab import GitLab
from tests.support.git_servers import FileServer, git
from tests.support.jenkins_scripted import Answer, Asked, ScriptedJenkins
from tests.support.waiting import free_port, wait_until
from torii.gearman import Server, Worker
from torii.jobs.marks import Mark, with_mark
from torii.testing.jenkins import PLUGINS, FakeJenkins, FakeNode, job_xml

TORII_YML = """
jobs:
  unit: {run: make test, environment: {label: linux}}
  big: {run: make big, environment: {label: small}}
pipelines:
  check: [unit, big]
"""

RIGHTS = ("Job/Create", "Job/Read", "Job/Configure", "Job/Build", "Job/Cancel", "Job/Delete")
TRAP = "anonymous Job/Read"

OURS = with_mark("", Mark("torii", "app", "main", "unit", "0" * 32))

Check = Callable[..., dict[str, dict[str, str]]]


@pytest.fixture
def gearman() -> Iterator[Server]:
    server = Server("127.0.0.1", 0)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def fake(tmp_path: Path, gearman: Server) -> Iterator[FakeJenkins]:
    nodes = [
        FakeNode("agent1", ("linux",), executors=2),
        FakeNode("agent 2", ("linux", "small")),
        FakeNode("agent3", ("x",), exclusive=True),
    ]
    with FakeJenkins(tmp_path / "jenkins", gearman=[gearman.address], nodes=nodes) as started:
        started.add_job("team/torii/app--main--unit", job_xml("true", label="linux", description=OURS))
        started.add_job("team/torii/somebodys", job_xml("true", label="arm"))
        yield started


@pytest.fixture
def project(tmp_path: Path) -> GitLab:
    lab = GitLab(FileServer(tmp_path / "git"), tmp_path)
    lab.push("main", lab.commit("config", files={"torii.yml": TORII_YML}))
    return lab


@pytest.fixture
def check(tmp_path: Path, gearman: Server, project: GitLab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Check:
    """Check `jenkins` and return the findings by topic; more keys of its connection are given by name."""

    def run(fake: FakeJenkins | None, *arguments: str, rest: str = "", **keys: str) -> dict[str, dict[str, str]]:
        monkeypatch.setenv("JENKINS_TOKEN", "hush-hush")
        if fake is not None:
            monkeypatch.setenv("JENKINS_TOKEN", keys.pop("secret", fake.token))
            keys = {"url": fake.url, "user": fake.user, "folder": "team/torii"} | keys
        keys = {"token": "env:JENKINS_TOKEN"} | keys
        lines = [
            "state: state",
            "connections:",
            f"  git: {{type: git, url: {project.server.root}}}",
            "projects:",
            f"  app: {{connection: git, url: {project.repository()}, jenkins: ci}}",
        ]
        lines += ["jenkins:", f"  ci: {{{', '.join(f'{key}: {value}' for key, value in keys.items() if value)}}}"]
        lines += [rest or f"gearman: {{host: 127.0.0.1, port: {gearman.address[1]}}}"]
        file = tmp_path / "server.yml"
        file.write_text("\n".join(lines) + "\n")
        said = torii(capsys, "jenkins", "check", "--server", file, "--json", *arguments)
        assert os.environ["JENKINS_TOKEN"] not in said.output
        found = said.json()["jenkins"]["ci"]
        failed = [finding["topic"] for finding in found if finding["verdict"] == "fail"]
        assert said.status == bool(failed) == (not said.json()["ok"]), said
        assert all(finding["words"] for finding in found)
        assert all(finding["advice"] for finding in found if finding["verdict"] in ("warn", "unknown"))
        return {finding["topic"]: finding for finding in found}

    return run


def amiss(findings: dict[str, dict[str, str]]) -> dict[str, str]:
    return {topic: finding["verdict"] for topic, finding in findings.items() if finding["verdict"] != "pass"}


def test_a_jenkins_that_is_well_passes_and_is_left_as_it_was(check: Check, fake: FakeJenkins) -> None:
    before = set(fake.jobs)
    found = check(fake)
    assert amiss(found) == {}
    assert {"connection", "version", "account", "address", "shutdown", "folder", "nodes", "gearman", "functions", TRAP, *RIGHTS} <= set(
        found
    )
    assert {f"plug-in {name}" for name in ("git", "gearman-plugin", "junit", "timestamper", "build-timeout", "ansicolor")} <= set(found)
    assert found["label linux"]["words"] == "agent1, agent 2 have it; wanted by unit of app, main"
    assert found["label small"]["words"] == "agent 2 has it; wanted by big of app, main"
    assert "2.372" in found["version"]["words"]
    assert set(fake.jobs) == before
    assert fake.queue() == []


def test_the_text_says_the_same_with_what_to_do(
    check: Check, fake: FakeJenkins, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(fake)
    fake.quiet_down(True)
    said = torii(capsys, "jenkins", "check", "--server", tmp_path / "server.yml", "ci")
    lines = said.output.splitlines()
    assert said.status == 1
    assert lines[0] == f"ci ({fake.url}), as torii"
    at = next(number for number, line in enumerate(lines) if line.startswith("  FAIL  shutdown: Jenkins prepares for a shutdown"))
    assert lines[at + 1].startswith("        -> let it restart, or cancel the shutdown")
    assert re.fullmatch(r"  \d+ passed, 1 failed", lines[-1])


def test_nothing_is_made_where_nothing_may_be(check: Check, fake: FakeJenkins) -> None:
    fake.allow("Overall/Read", "Job/Read", "Job/Configure", "Job/Create")
    found = check(fake, "--read-only")
    assert all(
        each[0] == "GET" or each[1] in ("/job/team/job/torii/createItem", "/job/team/job/torii/job/app--main--unit/build")
        for each in fake.requests()
    )
    verdicts = {topic: found[topic]["verdict"] for topic in RIGHTS}
    assert verdicts == dict(zip(RIGHTS, ("pass", "pass", "pass", "fail", "unknown", "unknown"), strict=True))
    assert "leave --read-only out" in found["Job/Delete"]["advice"]


@pytest.mark.parametrize("lacking", [right for right in RIGHTS if right != "Job/Read"])
def test_each_permission_that_is_missing_is_named(lacking: str, check: Check, fake: FakeJenkins) -> None:
    fake.allow("Overall/Read", "Overall/Administer", *(right for right in RIGHTS if right != lacking))
    found = check(fake)
    assert found[lacking]["verdict"] == "fail"
    assert found[lacking]["advice"] == f"give its account {lacking} on the folder 'team/torii'"
    others = {topic for topic in RIGHTS if topic != lacking and found.get(topic, {}).get("verdict") == "fail"}
    assert others == set()


def test_a_folder_that_torii_may_not_see_is_as_one_that_is_not_there(check: Check, fake: FakeJenkins) -> None:
    fake.allow_anonymous("Overall/Read")
    fake.allow("Overall/Read", "Job/Create")
    found = check(fake)
    assert found["folder"]["verdict"] == "fail"
    assert "It is not there, or the account 'torii' may not see it" in found["folder"]["words"]


def test_a_wrong_token_ends_the_check_with_what_to_do(check: Check, fake: FakeJenkins) -> None:
    found = check(fake, secret="wrong")
    assert list(found) == ["connection"]
    assert found["connection"]["verdict"] == "fail"
    assert "Check `user` (torii) and `token` of jenkins.ci" in found["connection"]["words"]
    assert "torii jenkins check" not in found["connection"]["words"]


def test_a_jenkins_that_is_not_there_is_said_so(check: Check) -> None:
    found = check(None, url=f"http://127.0.0.1:{free_port()}")
    assert list(found) == ["connection"]
    assert "Is Jenkins up?" in found["connection"]["words"]


def test_links_to_a_page_on_this_machine_alone_are_no_use_to_those_who_look_at_a_jenkins_elsewhere(
    check: Check, fake: FakeJenkins, gearman: Server
) -> None:
    elsewhere = fake.url.replace("127.0.0.1", "127.1")  # which no configuration is known to call this machine
    assert check(fake, url=elsewhere)["links"]["verdict"] == "warn"
    rest = f"gearman: {{port: {gearman.address[1]}}}\nweb: {{url: 'https://torii.example.com'}}"
    assert "links" not in check(fake, url=elsewhere, rest=rest)


def test_a_password_works_and_a_token_is_recommended(check: Check, fake: FakeJenkins) -> None:
    fake.accounts[fake.user].password = "hush-hush-hush"
    found = check(fake, secret="hush-hush-hush")
    assert amiss(found) == {"token": "warn"}


def test_a_folder_that_is_missing_is_to_be_made(check: Check, fake: FakeJenkins) -> None:
    found = check(fake, folder="elsewhere")
    assert found["folder"]["verdict"] == "fail"
    assert "make it in Jenkins (New Item, Folder)" in found["folder"]["words"]
    assert found["nodes"]["verdict"] == "pass", "the rest is looked at all the same"
    assert TRAP not in found, "of those who are not logged in a folder that nobody sees tells nothing"


@pytest.mark.parametrize(("path", "topic"), [("/job/team", "account"), ("/jenkins", "connection")])
def test_an_address_within_jenkins_or_without_its_path_is_to_be_mended(check: Check, fake: FakeJenkins, path: str, topic: str) -> None:
    found = check(fake, url=f"{fake.url}{path}")
    assert found[topic]["verdict"] == "fail"
    assert "give as `url` of jenkins.ci what Jenkins' front page has" in found[topic]["advice"]


def test_anonymous_who_may_not_read_jobs_is_a_trap(check: Check, fake: FakeJenkins) -> None:
    fake.allow_anonymous("Overall/Read")
    found = check(fake)
    assert amiss(found) == {TRAP: "fail"}
    assert "after its next boot" in found[TRAP]["words"]
    fake.restart()
    wait_until(lambda: fake.connected, 20)
    found = check(fake)  # whose own job has the agents look again, after which all is well until the next boot
    assert found["functions"]["verdict"] == "fail"
    assert "offer none of the 2 jobs" in found["functions"]["words"]
    assert "functions" not in check(fake, dispatch="rest"), "whoever uses no Gearman does not care"


def test_plug_ins_that_are_missing_say_what_torii_does_without(check: Check, tmp_path: Path, gearman: Server) -> None:
    plugins = {name: version for name, version in PLUGINS.items() if name not in ("git", "junit", "gearman-plugin")}
    with FakeJenkins(tmp_path / "bare", gearman=[gearman.address], plugins=plugins) as bare:
        bare.add_folder("team/torii")
        found = check(bare)
    assert {topic: found[f"plug-in {topic}"]["verdict"] for topic in ("git", "junit", "gearman-plugin", "timestamper")} == {
        "git": "fail",
        "junit": "warn",
        "gearman-plugin": "fail",
        "timestamper": "pass",
    }
    assert "dispatch: rest" in found["plug-in gearman-plugin"]["advice"]


def test_plug_ins_that_may_not_be_seen_are_listed_for_whoever_may(check: Check, fake: FakeJenkins) -> None:
    fake.allow("Overall/Read", *RIGHTS)
    found = check(fake)
    assert amiss(found) == {"plug-ins": "unknown"}
    assert "git, build-timeout, junit, timestamper, ansicolor, gearman-plugin, cloudbees-folder" in found["plug-ins"]["advice"]


def test_a_jenkins_that_never_came_to_the_gearman_server(check: Check, tmp_path: Path) -> None:
    with FakeJenkins(tmp_path / "other") as other:
        other.plugins["gearman-plugin"] = "0.5.0"
        other.add_folder("team/torii")
        found = check(other)
        assert amiss(found) == {"gearman": "fail", "label small": "fail", TRAP: "unknown"}
        assert "no Jenkins has connected to 127.0.0.1" in found["gearman"]["words"]
        assert "enable it under Gearman Plugin Config" in found["gearman"]["advice"]
        found = check(other, rest=f"gearman: {{port: {free_port()}}}")
        assert "cannot be reached" in found["gearman"]["words"]
        assert "start Torii (`torii up`" in found["gearman"]["advice"]


def test_another_jenkins_at_the_gearman_server_is_not_taken_for_this_one(check: Check, fake: FakeJenkins, tmp_path: Path) -> None:
    with FakeJenkins(tmp_path / "other", nodes=[FakeNode("elsewhere", ("linux",))]) as other:
        other.plugins["gearman-plugin"] = "0.5.0"
        other.add_folder("team/torii")
        found = check(other)
    assert found["gearman"]["verdict"] == "fail"
    assert "jenkins.example.org has connected to" in found["gearman"]["words"]
    assert "but none of the nodes of this Jenkins has" in found["gearman"]["words"]


def test_labels_that_no_node_has_and_nodes_that_are_away(check: Check, fake: FakeJenkins, project: GitLab) -> None:
    jobs = "jobs:\n  a: {run: x, environment: {label: arm}}\n  b: {run: x}\n  c: {run: x, environment: {label: x}}\n"
    text = f"{jobs}pipelines: {{check: [a, b, c]}}\n"
    project.push("main", project.commit("labels", files={"torii.yml": text}))
    fake.take_offline("agent3")
    found = check(fake)
    assert {topic: found[topic]["verdict"] for topic in ("label arm", "label x", "jobs without a label")} == {
        "label arm": "fail",
        "label x": "warn",
        "jobs without a label": "pass",
    }
    assert found["label arm"]["words"] == "no node has it; wanted by a of app, main"
    fake.take_offline("agent1")
    fake.take_offline("agent 2")
    found = check(fake)
    assert found["nodes"]["verdict"] in ("warn", "fail")
    assert found["jobs without a label"]["verdict"] == "warn"


def test_agents_that_offer_nothing_as_none_has_the_label_are_not_taken_for_the_trap(
    check: Check, fake: FakeJenkins, project: GitLab
) -> None:
    text = "jobs:\n  unit: {run: x, environment: {label: arm}}\npipelines: {check: [unit]}\n"
    project.push("main", project.commit("arm", files={"torii.yml": text}))
    fake.add_job("team/torii/app--main--unit", job_xml("true", label="arm", description=OURS))
    assert amiss(check(fake)) == {"label arm": "fail", "functions": "warn"}


def test_a_torii_yml_that_is_wrong_leaves_its_labels_unknown(check: Check, fake: FakeJenkins, project: GitLab) -> None:
    project.push("main", project.commit("wrong", files={"torii.yml": "jobs: {a: {rum: x}}"}))
    found = check(fake)
    assert found["labels"]["verdict"] == "unknown"
    assert "app, branch main" in found["labels"]["words"]


CHECKED = "team/torii/torii-check-torii"


def test_a_check_that_did_not_come_to_its_end_is_cleaned_up_by_the_next(check: Check, fake: FakeJenkins) -> None:
    made = "Made by `torii jenkins check` and removed by it: delete it if you see it."
    fake.add_job(CHECKED, job_xml("true", description=made))
    assert amiss(check(fake)) == {}
    assert CHECKED not in fake.jobs


@pytest.mark.parametrize("fault", [None, "cut", "after"])
def test_somebody_elses_job_of_the_name_of_the_checks_own_is_left_alone(check: Check, fake: FakeJenkins, fault: str | None) -> None:
    fake.add_job(CHECKED, job_xml("make release"))
    before = fake.jobs[CHECKED]
    if fault:
        fake.fault(fault, "POST .*/createItem")
    found = check(fake)
    assert found["permissions"]["verdict"] == "fail"
    assert fault or "there is a job torii-check-torii already" in found["permissions"]["words"]
    assert fake.jobs[CHECKED] == before


def test_a_worker_of_toriis_own_at_the_gearman_server_is_not_taken_for_a_jenkins(check: Check, tmp_path: Path, gearman: Server) -> None:
    worker = Worker([gearman.address], "here-1_manager")
    for function in ("stop:here-1", "torii:define:here-1"):
        worker.register(function, lambda job: job.sendWorkFail())
    worker.start()
    try:
        wait_until(lambda: worker.connected, 10.0)
        with FakeJenkins(tmp_path / "other", nodes=[]) as other:
            other.plugins["gearman-plugin"] = "0.5.0"
            other.add_folder("team/torii")
            found = check(other)
    finally:
        worker.stop(5.0)
    assert "no Jenkins has connected to" in found["gearman"]["words"]


def test_what_jenkins_does_not_tell_is_said_and_the_rest_is_looked_at_all_the_same(check: Check, fake: FakeJenkins) -> None:
    fake.fault(503, "GET /computer/", times=1000)
    found = check(fake)
    assert amiss(found) == {"nodes": "fail", "labels": "fail", "gearman": "fail"}
    assert "503" in found["nodes"]["words"]


def test_a_check_changes_nothing_where_the_answer_to_making_its_job_is_lost(check: Check, fake: FakeJenkins) -> None:
    fake.fault("after", "POST .*/createItem")
    found = check(fake)
    assert found["permissions"]["verdict"] == "fail"
    assert "team/torii/torii-check-torii" not in fake.jobs


def test_whoever_answers_for_jenkins_is_not_taken_for_one(check: Check) -> None:
    with ScriptedJenkins(lambda _: Answer(body=b"<html><title>Sign in</title></html>")) as server:
        found = check(None, url=server.url)
    assert list(found) == ["connection"]
    assert "a page titled 'Sign in'" in found["connection"]["words"]


def test_a_version_that_is_hidden_is_unknown_and_one_that_is_too_old_is_said_so(check: Check) -> None:
    def answer(version: str) -> Callable[[Asked], Answer]:
        def answered(asked: Asked) -> Answer:
            found = {"id": "torii"} if asked.path == "/me/api/json" else {"url": "http://elsewhere/", "useSecurity": False, "jobs": []}
            return Answer(body=json.dumps(found).encode(), kind="application/json", headers={"X-Jenkins": version} if version else {})

        return answered

    with ScriptedJenkins(answer("")) as server:
        assert check(None, url=server.url)["version"]["verdict"] == "unknown"
    with ScriptedJenkins(answer("2.190.3")) as server:
        found = check(None, url=server.url)
    assert found["version"]["verdict"] == "fail"
    assert "upgrade it to 2.277 or later" in found["version"]["advice"]
    assert found["security"]["verdict"] == "warn"
    assert "it calls itself http://elsewhere/" in found["address"]["words"]


def test_a_name_that_is_not_configured_is_a_mistake(
    check: Check, fake: FakeJenkins, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(fake)
    said = torii(capsys, "jenkins", "check", "--server", tmp_path / "server.yml", "nope")
    assert said.status == 2
    assert "no Jenkins called 'nope' is configured; there is ci" in said.errors
    git("init", "--quiet", tmp_path / "empty")
    (tmp_path / "empty.yml").write_text("projects: {}\n")
    said = torii(capsys, "jenkins", "check", "--server", tmp_path / "empty.yml")
    assert said.status == 2
    assert "no Jenkins is configured" in said.errors


@pytest.mark.needs("gearmand")
def test_a_gearmand_of_ones_own_tells_the_same(check: Check, tmp_path: Path) -> None:
    own = Gearmand()
    own.start()
    try:
        nodes = [FakeNode("agent 1", ("linux", "small"))]
        with FakeJenkins(tmp_path / "with-gearmand", gearman=[own.address], nodes=nodes) as fake:
            fake.add_job("team/torii/app--main--unit", job_xml("true", label="linux"))
            wait_until(lambda: len(fake.registered.get("agent 1_exec-0", ())) == 2, 10)
            found = check(fake, rest=f"gearman: {{servers: ['127.0.0.1:{own.address[1]}']}}")
    finally:
        own.kill()
    assert amiss(found) == {}
    assert found["gearman"]["words"] == f"connected to 127.0.0.1:{own.address[1]}, as jenkins.example.org"
