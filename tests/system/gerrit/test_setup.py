"""`torii gerrit setup` on a Gerrit that knows nothing of Torii but its account: what is printed suffices, and what is applied too."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.gerrit import project_name, setup
from tests.support.gerrit_config import server_yml, torii
from tests.support.waiting import wait_until
from torii.testing.gerrit import GerritSite, LabProject, Provision, Setup
from torii.testing.gerrit.workbench import Draft

pytestmark = pytest.mark.needs("gerrit", "ssh")

PASSED = ("account", "ssh", "stream", "git", "staging create", "staging again", "staging delete", "label Verified", "submit", "read refs/*")


@pytest.fixture
def bare(boot_gerrit: Callable[[Setup], GerritSite]) -> GerritSite:
    return boot_gerrit(setup(Provision.NOTHING))


@pytest.fixture
def project(bare: GerritSite) -> LabProject:
    return bare.create_project(project_name())


def as_admin(site: GerritSite) -> list[str]:
    return ["--admin-user", "admin", "--admin-password", f"file:{site.admin.password_file}"]


@pytest.fixture
def running() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)


def verdicts(findings: list[dict[str, str]]) -> dict[str, str]:
    return {finding["topic"]: finding["verdict"] for finding in findings}


@pytest.mark.timeout(300)
def test_check_names_each_lack_setup_mends_them_and_then_a_change_is_voted_on(
    bare: GerritSite,
    project: LabProject,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    running: list[subprocess.Popen[bytes]],
) -> None:
    file = server_yml(tmp_path, bare, [project.name])

    before = torii(capsys, "gerrit", "check", "--server", file, "--json", *as_admin(bare))
    found = verdicts(before.json()["connections"]["review"])
    assert (before.status, before.json()["ok"]) == (1, False)
    assert {topic for topic, verdict in found.items() if verdict == "fail"} == {"stream", "staging create", "label Verified", "submit"}
    assert found["read refs/*"] == "warn"
    assert {found[topic] for topic in ("reachable", "account", "ssh", "git", "clock")} == {"pass"}

    planned = torii(capsys, "gerrit", "setup", "--server", file, *as_admin(bare))
    assert planned.status == 1
    assert planned.output.count("  lacking: ") == len(planned.output.splitlines()) - 1 > 10
    config = bare.rest().get("/projects/All-Projects/access")["revision"]
    applied = torii(capsys, "gerrit", "setup", "--apply", "--server", file, *as_admin(bare))
    assert (applied.status, applied.output.replace("  made: ", "  lacking: ")) == (0, planned.output)
    changed = bare.rest().get("/projects/All-Projects/access")["revision"]
    assert changed != config
    again = torii(capsys, "gerrit", "setup", "--apply", "--server", file, *as_admin(bare))
    assert (again.status, again.output.splitlines()[1:]) == (0, ["  nothing is lacking"])
    assert bare.rest().get("/projects/All-Projects/access")["revision"] == changed

    after = torii(capsys, "gerrit", "check", "--server", file, "--json", *as_admin(bare))
    assert (after.status, {verdicts(after.json()["connections"]["review"])[topic] for topic in PASSED}) == (0, {"pass"}), after.output

    command = [sys.executable, "-m", "torii", "up", "--server", str(file)]
    with (tmp_path / "torii.log").open("wb") as log:
        running.append(subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log, env={**os.environ, "NO_COLOR": "1"}))
    change = project.push_change({"hello.txt": "hello\n"}, "Say hello")
    wait_until(lambda: change.votes("Verified") == {"torii": 1}, 120, every=0.3)


@pytest.mark.timeout(300)
def test_what_setup_prints_for_the_hand_suffices(
    bare: GerritSite, project: LabProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = server_yml(tmp_path, bare, [project.name])
    printed = torii(capsys, "gerrit", "setup", "--server", file)
    assert printed.status == 0
    lines = printed.output[printed.output.index("[access") :]

    bare.rest().put("/groups/Service%20Users/members/torii")
    group = bare.rest().get("/groups/Service%20Users")["id"]
    config = bare.project("All-Projects")
    tip = config.refs("refs/meta/config")["refs/meta/config"]
    config.workbench.fetch("refs/meta/config")
    had = {name: config.workbench.git("show", f"{tip}:{name}") for name in ("project.config", "groups")}
    if group not in had["groups"]:
        had["groups"] += f"{group}\tService Users\n"
    draft = Draft({"project.config": f"{had['project.config']}\n{lines}", "groups": had["groups"]}, "Let Torii in")
    (commit,) = config.workbench.commit([draft], tip, "admin")
    config.workbench.push(f"{commit}:refs/meta/config", who="admin")

    checked = torii(capsys, "gerrit", "check", "--server", file, "--json", *as_admin(bare))
    assert (checked.status, {verdicts(checked.json()["connections"]["review"])[topic] for topic in PASSED}) == (0, {"pass"}), checked.output
    applied = torii(capsys, "gerrit", "setup", "--apply", "--server", file, *as_admin(bare))
    assert (applied.status, applied.output.splitlines()[1:]) == (0, ["  nothing is lacking"])


def test_setup_completes_what_is_half_there_and_leaves_a_denial_to_a_human(
    gerrit: GerritSite, gerrit_project: LabProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pipelines = (
        "pipelines: {check: {manager: independent, triggers: [patchset-created], report: {success: {Lint: 2}, failure: {Lint: -1}}}}"
    )
    file = server_yml(tmp_path, gerrit, [gerrit_project.name], rest=pipelines, only="check")
    robots = project_name("robots")
    gerrit.rest().put(f"/groups/{robots}", {})
    gerrit_project.make_label("Lint", required=False)
    gerrit_project.grant("refs/heads/*", "label-Lint", robots, min=0, max=1)
    gerrit_project.grant("refs/staging/*", "push", robots)
    gerrit_project.grant("refs/staging/*", "delete", robots, action="BLOCK")
    where = ["--group", robots, "--on", gerrit_project.name]
    asked = ["gerrit", "setup", "--server", str(file), *where, *as_admin(gerrit)]
    said = torii(capsys, *asked, "--apply").output
    for made in (
        f"'torii' in the group '{robots}'",
        "the values +2 (Passes) of the label Lint",
        "the submit requirement Lint: label:Lint=MAX AND -label:Lint=MIN",
        f"Label Lint -1 to +2 on refs/heads/* for '{robots}', who may less",
        f"Push with force on refs/staging/* for '{robots}', who may less",
        f"Stream Events as a global capability for '{robots}'",
    ):
        assert f"  made: {made}\n" in said
    assert f"  NOT made: Delete Reference on refs/staging/* for '{robots}': a rule says BLOCK; take that away yourself\n" in said
    assert "Submit on" not in said  # nothing merges here
    again = torii(capsys, *asked, "--apply")
    assert (again.status, len(again.output.splitlines())) == (1, 2)
    gerrit_project.revoke("refs/staging/*", "delete", robots)
    assert torii(capsys, *asked, "--apply").status == 0
    change = gerrit_project.push_change()
    change.vote("Lint", 2, by="torii")
    assert change.votes("Lint") == {"torii": 2}


def test_setup_says_how_to_make_a_missing_account(
    gerrit: GerritSite, gerrit_project: LabProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = server_yml(tmp_path, gerrit, [gerrit_project.name], connection="user: nobody")
    refused = torii(capsys, "gerrit", "setup", "--server", file, *as_admin(gerrit))
    assert refused.status == 2
    assert "Gerrit has no account 'nobody'" in refused.errors
    assert "create-account" in refused.errors


def test_somebody_who_is_no_administrator_is_told_so(
    gerrit: GerritSite, gerrit_project: LabProject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = server_yml(tmp_path, gerrit, [gerrit_project.name])
    dev = ["--admin-user", "dev", "--admin-password", f"file:{gerrit.dev.password_file}"]
    refused = torii(capsys, "gerrit", "setup", "--server", file, *dev)
    assert refused.status == 4
    assert "403" in refused.errors
