"""The lab's Gerrit does what people do on theirs: what every other test of Gerrit stands on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.gerrit import project_name, setup
from torii.testing.gerrit import Draft, GerritSite, LabError, LabProject, Provision, PushRefusedError, RefusedError, Setup

pytestmark = pytest.mark.needs("gerrit")


def test_a_change_is_pushed_voted_on_and_merged(gerrit_project: LabProject) -> None:
    change = gerrit_project.push_change({"hello.txt": "hello\n"}, "Say hello")
    change.approve()
    change.vote("Verified", 1, by="torii")
    assert (change.votes("Code-Review"), change.votes("Verified")) == ({"admin": 2}, {"torii": 1})
    change.submit(by="torii")
    assert change.status == "MERGED"
    assert gerrit_project.log() == ["Say hello", "Begin"]
    assert gerrit_project.content("hello.txt") == "hello\n"


def test_a_new_patch_set_has_the_old_files_and_the_new(gerrit_project: LabProject) -> None:
    change = gerrit_project.push_change({"a": "1\n"})
    first = change.commit
    change.amend({"b": "2\n"}, "Now with b")
    assert change.patchset == 2
    assert change.ref.endswith(f"/{change.number}/2")
    assert gerrit_project.refs("refs/changes/")[change.ref] == change.commit != first
    assert change.detail()["subject"] == "Now with b"


def test_an_unchanged_patch_set_can_be_pushed_again(gerrit_project: LabProject) -> None:
    change = gerrit_project.push_change()
    change.amend()
    assert change.patchset == 2


def test_a_series_stands_on_itself(gerrit_project: LabProject) -> None:
    one, two = gerrit_project.push_series(["one", Draft({"README": None}, "two")], options=["topic=pair"])
    assert gerrit_project.workbench.git("rev-parse", f"{two.commit}^").strip() == one.commit
    assert {change.detail()["topic"] for change in (one, two)} == {"pair"}
    three = gerrit_project.push_change(subject="three", on=two)
    assert three.number > two.number > one.number


def test_states_can_be_changed(gerrit_project: LabProject) -> None:
    change = gerrit_project.push_change(options=["wip", "hashtag=first"])
    assert change.detail()["work_in_progress"] is True
    change.set_ready()
    change.set_hashtags(["second"], ["first"])
    change.set_topic("rework")
    change.set_private()
    detail = change.detail()
    assert ("work_in_progress" in detail, detail["hashtags"], detail["topic"], detail["is_private"]) == (False, ["second"], "rework", True)
    change.abandon()
    assert change.status == "ABANDONED"
    change.restore()
    assert change.status == "NEW"


def test_votes_and_comments_are_read_back(gerrit_project: LabProject) -> None:
    change = gerrit_project.push_change()
    change.comment("recheck")
    change.message("recheck unit")
    change.approve()
    change.delete_vote("Code-Review", of="admin")
    assert change.votes("Code-Review") == {}
    assert [message["message"] for message in change.messages(by="dev")][1:] == [
        "Patch Set 1:\n\n(1 comment)",
        "Patch Set 1:\n\nrecheck unit",
    ]
    assert [comment["message"] for comment in change.comments()["/PATCHSET_LEVEL"]] == ["recheck"]


def test_branches_come_move_and_go(gerrit_project: LabProject) -> None:
    gerrit_project.create_branch("stable")
    commit = gerrit_project.commit_directly({"fix": "fixed\n"}, branch="stable")
    assert gerrit_project.tip("stable") == commit != gerrit_project.tip()
    gerrit_project.delete_branch("stable")
    assert gerrit_project.tip("stable") is None


def test_what_is_not_granted_is_refused(gerrit: GerritSite, gerrit_project: LabProject) -> None:
    change = gerrit_project.push_change()
    with pytest.raises(RefusedError) as refused:
        change.vote("Verified", 1, by="dev")
    assert refused.value.status == 403
    with pytest.raises(PushRefusedError, match="not permitted"):
        gerrit_project.commit_directly({"a": "b\n"}, by="dev")
    gerrit_project.grant("refs/heads/*", "submit", action="BLOCK")
    change.approve()
    change.vote("Verified", 1)
    with pytest.raises(RefusedError, match="submit"):
        change.submit(by="torii")
    gerrit_project.revoke("refs/heads/*", "submit")
    change.submit(by="torii")


def test_torii_may_push_staging_refs_again_and_delete_them(gerrit_project: LabProject) -> None:
    bench = gerrit_project.workbench
    ref = "refs/staging/gate/one/main"
    for content in ("1\n", "2\n"):
        (commit,) = bench.commit([Draft({"a": content}, "Stage")], gerrit_project.tip(), "dev")
        bench.push(f"+{commit}:{ref}", who="torii")
        assert gerrit_project.refs("refs/staging/") == {ref: commit}
    bench.push(f":{ref}", who="torii")
    assert gerrit_project.refs("refs/staging/") == {}


def test_commands_go_over_ssh_with_a_checked_host_key(gerrit: GerritSite) -> None:
    assert gerrit.ssh("gerrit", "version", who="torii") == f"gerrit version {gerrit.version}\n"
    known = gerrit.known_hosts.read_text()
    gerrit.known_hosts.write_text("")
    try:
        with pytest.raises(LabError, match="Host key verification failed"):
            gerrit.ssh("gerrit", "version")
    finally:
        gerrit.known_hosts.write_text(known)


def test_a_kill_loses_nothing_and_the_address_stays(gerrit: GerritSite, gerrit_project: LabProject) -> None:
    change = gerrit_project.push_change()
    gerrit.kill()
    with pytest.raises(LabError):
        change.detail()
    gerrit.start()
    assert change.status == "NEW"


def test_a_site_without_provisions_knows_torii_and_trusts_it_with_nothing(boot_gerrit: Callable[[Setup], GerritSite]) -> None:
    site = boot_gerrit(setup(Provision.NOTHING))
    assert "streamEvents" not in site.rest("torii").get("/accounts/self/capabilities")
    assert [label["name"] for label in site.rest().get("/projects/All-Projects/labels/")] == ["Code-Review"]
    project = site.create_project(project_name())
    (commit,) = project.workbench.commit([Draft({"a": "1\n"}, "Stage")], project.tip(), "torii")
    with pytest.raises(PushRefusedError):
        project.workbench.push(f"{commit}:refs/staging/x", who="torii")


def test_settings_of_a_site_are_its_own(boot_gerrit: Callable[[Setup], GerritSite], tmp_path: Path) -> None:
    site = boot_gerrit(setup(change__submitWholeTopic="true"))
    project = site.create_project(project_name())
    pair = [project.push_change(subject=subject, options=["topic=pair"]) for subject in ("one", "two")]
    for change in pair:
        change.approve()
        change.vote("Verified", 1, by="torii")
    pair[0].submit(by="torii")
    assert [change.status for change in pair] == ["MERGED", "MERGED"]
