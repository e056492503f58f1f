"""`torii gerrit check` on a Gerrit that is well, and on one where a single thing is not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from tests.support.gerrit import project_name
from tests.support.gerrit_config import Said, server_yml, torii
from tests.support.waiting import free_port, within
from torii.testing.gerrit import GerritSite, LabProject

pytestmark = pytest.mark.needs("gerrit")

Check = Callable[..., dict[str, dict[str, str]]]


@pytest.fixture
def check(gerrit: GerritSite, gerrit_project: LabProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Check:
    """Check the project, with what is given of the connection, and return the findings by topic. `status` must be as the findings are."""

    def run(connection: str = "", *arguments: str) -> dict[str, dict[str, str]]:
        file = server_yml(tmp_path, gerrit, [gerrit_project.name], connection=connection)
        said = torii(capsys, "gerrit", "check", "--server", file, "--json", *arguments)
        findings = said.json()["connections"]["review"]
        failed = [finding["topic"] for finding in findings if finding["verdict"] == "fail"]
        assert said.status == bool(failed) == (not said.json()["ok"]), said
        assert all(finding["words"] for finding in findings)
        return {finding["topic"]: finding for finding in findings}

    return run


def failed(findings: dict[str, dict[str, str]]) -> list[str]:
    return [topic for topic, finding in findings.items() if finding["verdict"] == "fail"]


def test_a_gerrit_that_is_well_passes(check: Check, gerrit: GerritSite, gerrit_project: LabProject) -> None:
    admin = ("--admin-user", "admin", "--admin-password", f"file:{gerrit.admin.password_file}")
    found = check("", *admin)
    assert {topic: finding["verdict"] for topic, finding in found.items() if topic != "staging speed"} == dict.fromkeys(
        (
            *("reachable", "account", "clock", "ssh", "stream", "git", "staging create", "staging again", "staging delete"),
            *("label Verified", "submit", "read refs/*"),
        ),
        "pass",
    )
    assert gerrit.version in found["reachable"]["words"]
    assert gerrit_project.refs("refs/staging/") == {}


def test_the_text_says_the_same_with_what_to_do(
    gerrit: GerritSite, gerrit_project: LabProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gerrit_project.grant("refs/heads/*", "submit", action="BLOCK")
    said = torii(capsys, "gerrit", "check", "--server", server_yml(tmp_path, gerrit, [gerrit_project.name]))
    assert said.status == 1
    lines = said.output.splitlines()
    assert lines[0] == f"review ({gerrit.url}), as torii"
    at = lines.index(f"  FAIL  {gerrit_project.name}: submit: Torii may not submit: submit not permitted")
    assert lines[at + 1].startswith("        -> allow 'Submit' on refs/heads/*")
    assert "1 failed" in lines[-1]


def test_the_change_made_to_look_at_is_hidden_and_made_once(check: Check, gerrit_project: LabProject) -> None:
    for _ in range(2):
        assert check()["label Verified"]["verdict"] == "pass"
        (made,) = gerrit_project.numbers("main").values()
        detail = gerrit_project.rest("torii").get(f"/changes/{made}")
        assert (detail["status"], detail["is_private"], detail["work_in_progress"]) == ("ABANDONED", True, True)


def test_an_open_change_tells_as_well_and_stays_as_it_is(check: Check, gerrit_project: LabProject) -> None:
    change = gerrit_project.push_change()
    change.approve()
    before = change.detail()["updated"]
    assert check()["label Verified"]["verdict"] == "pass"
    assert (change.detail()["updated"], change.status) == (before, "NEW")


def test_reading_only_leaves_no_trace(check: Check, gerrit_project: LabProject) -> None:
    found = check("", "--read-only")
    assert {found[topic]["verdict"] for topic in ("staging", "label Verified", "submit")} == {"unknown"}
    assert gerrit_project.numbers("main") == {}
    assert gerrit_project.refs("refs/staging/") == {}
    change = gerrit_project.push_change()
    change.approve()
    change.vote("Verified", 1)
    change.submit()
    gerrit_project.push_change(subject="Another")
    found = check("", "--read-only")
    assert {found[topic]["verdict"] for topic in ("label Verified", "submit")} == {"pass"}


@pytest.mark.parametrize(
    ("ref", "permission", "topic", "advice"),
    [
        ("refs/heads/*", "submit", "submit", "'Submit'"),
        ("refs/staging/*", "create", "staging create", "'Create Reference'"),
        ("refs/staging/*", "forgeCommitter", "staging create", "'Forge Committer Identity'"),
        ("refs/staging/*", "read", "staging again", "'Read' on refs/*"),
        ("refs/heads/*", "read", "git", "'Read' on refs/heads/*"),
    ],
)
def test_a_right_that_is_taken_away_is_named(
    check: Check, gerrit_project: LabProject, ref: str, permission: str, topic: str, advice: str
) -> None:
    gerrit_project.grant(ref, permission, action="BLOCK")
    found = check()
    assert topic in failed(found)
    assert advice in found[topic]["advice"]


def test_a_staging_ref_that_could_not_be_deleted_goes_the_next_time(check: Check, gerrit_project: LabProject) -> None:
    # Who may push with force may delete as well.
    gerrit_project.grant("refs/staging/*", "push", exclusive=True)
    gerrit_project.grant("refs/staging/*", "delete", action="BLOCK")
    found = check()
    assert failed(found) == ["staging again", "staging delete"]
    assert "'Push' with force" in found["staging again"]["advice"]
    assert "'Delete Reference'" in found["staging delete"]["advice"]
    assert len(gerrit_project.refs("refs/staging/torii-check/")) == 1
    gerrit_project.revoke("refs/staging/*", "push")
    gerrit_project.revoke("refs/staging/*", "delete")
    assert failed(check()) == []
    assert gerrit_project.refs("refs/staging/") == {}


def test_a_range_of_votes_that_is_too_small_is_named(check: Check, gerrit_project: LabProject) -> None:
    gerrit_project.grant("refs/heads/*", "label-Verified", action="BLOCK", min=-1, max=0)
    found = check()
    assert failed(found) == ["label Verified"]
    assert "-1" in found["label Verified"]["words"]
    assert "'Label Verified' -1 to +1" in found["label Verified"]["advice"]


def test_a_label_that_is_not_there_is_named(
    gerrit: GerritSite, gerrit_project: LabProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipelines = "pipelines: {check: {manager: independent, triggers: [patchset-created], report: {success: {Lint: 1, Verified: 2}}}}"
    said = torii(capsys, "gerrit", "check", "--server", server_yml(tmp_path, gerrit, [gerrit_project.name], rest=pipelines, only="check"))
    assert said.status == 1
    assert f"  FAIL  {gerrit_project.name}: label Lint: the project has no such label\n" in said.output
    assert f"  FAIL  {gerrit_project.name}: label Verified: the label has no +2\n" in said.output
    assert "submit:" not in said.output  # nothing merges here


def test_a_project_that_is_not_there_is_named_and_the_others_are_checked(
    gerrit: GerritSite, gerrit_project: LabProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = server_yml(tmp_path, gerrit, ["nowhere", gerrit_project.name])
    said = torii(capsys, "gerrit", "check", "--server", file)
    assert said.status == 1
    assert "  FAIL  nowhere: git: " in said.output
    assert f"  pass  {gerrit_project.name}: submit: Torii may submit\n" in said.output
    assert "nowhere" not in torii(capsys, "gerrit", "check", "--server", file, "--project", gerrit_project.name).output
    wrong = torii(capsys, "gerrit", "check", "--server", file, "--project", "nothing")
    assert (wrong.status, wrong.errors) == (2, "torii: no project called 'nothing' is configured\n")


def test_a_wrong_password_is_the_only_thing_said(check: Check, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("wrong\n")
    found = check("password: file:wrong")
    assert list(found) == ["reachable"]
    assert "HTTP password or token" in found["reachable"]["advice"]


def test_a_gerrit_that_is_away_is_the_only_thing_said(check: Check) -> None:
    with within(20):
        found = check(f"url: http://127.0.0.1:{free_port()}")
        assert (list(found), failed(found)) == (["reachable"], ["reachable"])
        assert "refused" in found["reachable"]["words"]


def test_a_strange_host_key_is_named_with_how_to_mend_it(check: Check, gerrit: GerritSite, tmp_path: Path) -> None:
    (tmp_path / "known_hosts").touch()
    found = check("known-hosts: known_hosts")
    assert failed(found) == ["ssh"]
    assert f"ssh-keyscan -p {gerrit.ssh_port} 127.0.0.1 >> {tmp_path / 'known_hosts'}" in found["ssh"]["words"]


def test_an_ssh_key_that_is_not_the_accounts_is_named(check: Check, gerrit: GerritSite) -> None:
    found = check(f"key: {gerrit.dev.key}")
    assert failed(found) == ["ssh"]
    assert "'torii'" in found["ssh"]["words"]


def test_git_over_ssh_is_checked_over_ssh(check: Check) -> None:
    found = check("git: ssh")
    assert failed(found) == []
    assert "ssh://torii@127.0.0.1" in found["git"]["words"]


def test_a_connection_without_a_stream_needs_no_ssh(check: Check) -> None:
    found = check("events: catch-up\nkey: /nowhere\nssh: 127.0.0.1:1")
    assert failed(found) == []
    assert not {"ssh", "stream"} & set(found)


def test_webhooks_without_their_plug_in_are_named(check: Check, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("of the hooks\n")
    found = check("events: both\nwebhook-secret: file:secret")
    assert (failed(found), found["webhooks"]["words"]) == (["webhooks"], "Gerrit has no plug-in 'webhooks'")


def test_clocks_that_differ_are_told_and_hinder_nothing(check: Check) -> None:
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=1), tick=True):
        found = check()
    assert failed(found) == []
    assert found["clock"]["verdict"] == "warn"
    assert "behind ours" in found["clock"]["words"]


def test_a_user_without_the_stream_is_told(check: Check, gerrit: GerritSite) -> None:
    found = check(f"user: dev\npassword: file:{gerrit.dev.password_file}\nkey: {gerrit.dev.key}")
    assert {"stream", "submit", "label Verified"} <= set(failed(found))
    assert "Global Capabilities" in found["stream"]["advice"]


def test_a_separate_staging_server_is_what_is_tried(check: Check, gerrit: GerritSite) -> None:
    elsewhere = gerrit.create_project(project_name("staging"), files={"README": "Staging refs go here.\n"})
    found = check(f"staging: {gerrit.url}/a/{elsewhere.name.partition('/')[0]}-not-there")
    assert "staging" in " ".join(failed(found))


def test_no_gerrit_at_all_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "server.yml").write_text("connections: {}\n")
    said: Said = torii(capsys, "gerrit", "check", "--server", tmp_path / "server.yml")
    assert said.status == 2
    assert "no Gerrit is configured" in said.errors
