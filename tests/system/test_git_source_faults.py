"""What git servers and the people who push to them do wrong: each ends in a clear reason, loses nothing and stops nobody else."""

from __future__ import annotations

import subprocess
import threading
from dataclasses import replace

import pytest

from tests.support.git_lab import GitLab
from tests.support.git_servers import Fault, git, refuse_pushes, serving, set_hook
from tests.support.waiting import wait_until, within
from torii.model.command import Report
from torii.model.event import BranchMoved, Merged, Moved, Refused, SubmitUnavailable
from torii.model.ids import ProjectName
from torii.model.pipeline import Cause

PUSHED, APPROVED = Cause.PATCHSET_CREATED, Cause.APPROVED


@pytest.fixture
def lab(tmp_path):
    with serving("file", tmp_path) as server:
        lab = GitLab(server, tmp_path)
        yield lab
        lab.close()


@pytest.fixture
def web_lab(tmp_path):
    with serving("http", tmp_path) as server:
        lab = GitLab(server, tmp_path, timeout=2.0)
        yield lab
        lab.close()


@pytest.fixture
def ssh_lab(tmp_path):
    with serving("ssh", tmp_path) as server:
        lab = GitLab(server, tmp_path, timeout=4.0)
        yield lab
        lab.close()


def approved(lab: GitLab, name: str = "a"):
    lab.push_change(name)
    lab.approve(name)
    lab.start()
    return lab.wait_for(name, APPROVED)


# The server.


def test_a_server_that_answers_500_is_said_so_and_asked_again(web_lab):
    web_lab.start()
    web_lab.wait_for_tip(web_lab.base)
    web_lab.server.set_fault(Fault.ERROR)
    web_lab.wake()
    assert "500" in web_lab.wait_for_health(lambda state: state != "ok")
    web_lab.server.set_fault(Fault.NONE)
    web_lab.wait_for_health(lambda state: state == "ok")  # without being woken


def test_a_server_that_hangs_is_given_up_in_time(web_lab):
    web_lab.start()
    web_lab.wait_for_tip(web_lab.base)
    web_lab.server.set_fault(Fault.HANG)
    web_lab.wake()
    assert "2 s" in web_lab.wait_for_health(lambda state: state != "ok")
    web_lab.server.set_fault(Fault.NONE)
    web_lab.push_change("a")
    web_lab.wait_for("a", PUSHED)


@pytest.mark.needs("sshd", "ssh", "ssh-keygen")
def test_an_ssh_server_that_takes_the_connection_and_says_nothing_is_given_up_in_time(ssh_lab):
    ssh_lab.start()
    ssh_lab.wait_for_tip(ssh_lab.base)
    ssh_lab.server.hang()
    ssh_lab.wake()
    assert ssh_lab.wait_for_health(lambda state: state != "ok")
    ssh_lab.server.come_back()
    ssh_lab.push_change("a")
    ssh_lab.wait_for("a", PUSHED)


@pytest.mark.needs("sshd", "ssh", "ssh-keygen")
def test_an_ssh_server_with_another_host_key_is_not_spoken_to(ssh_lab):
    known_hosts = ssh_lab.server.known_hosts
    host, kind, _ = known_hosts.read_text().split()[:3]
    user_key = ssh_lab.server.key.with_suffix(".pub").read_text().split()[1]
    known_hosts.write_text(f"{host} {kind} {user_key}\n")
    ssh_lab.start()
    assert "host key" in ssh_lab.wait_for_health(lambda state: state not in ("ok", "not read yet")).lower()


def test_a_wrong_password_is_said_so_and_never_shown(tmp_path):
    with serving("http", tmp_path, user="torii", password="right") as server:
        lab = GitLab(server, tmp_path)
        server.password = "wr0ng"
        source = lab.open()
        server.password = "right"
        source.start(None)
        try:
            state = wait_until(lambda: next((text for text in source.project_health().values() if text != "not read yet"), None), 20.0)
        finally:
            source.stop(5.0)
    assert state != "ok"
    assert "wr0ng" not in state


def test_a_project_whose_server_hangs_holds_up_no_other(web_lab):
    web_lab.add_project("other")
    web_lab.start()
    web_lab.wait_for_tip(web_lab.base)
    (web_lab.repository("other") / "HEAD").unlink()
    web_lab.wait_for_health(lambda state: state == "ok")
    web_lab.source.wake(ProjectName("other"))
    assert web_lab.wait_for_health(lambda state: state not in ("ok", "not read yet"), "other")
    web_lab.push_change("a")
    web_lab.wait_for("a", PUSHED)
    assert web_lab.health() == "ok"


def test_a_server_that_hangs_in_a_push_leaves_the_merge_unknown_and_asking_again_tells(web_lab):
    submit = web_lab.staged(approved(web_lab))
    web_lab.server.set_fault(Fault.HANG_PUSH)
    assert isinstance(web_lab.submit(submit).outcome, SubmitUnavailable)
    web_lab.server.set_fault(Fault.NONE)
    assert web_lab.submit(submit).outcome == Merged(submit.commit, submit.tree)


def test_a_merge_whose_answer_was_lost_is_found_and_not_made_twice(lab):
    submit = lab.staged(approved(lab))
    # The push takes effect, but its answer never comes: the connection hangs in the hook that runs after it.
    set_hook(lab.repository(), "post-receive", "exec sleep 60 >/dev/null 2>&1")
    lab.stop()
    lab.timeout = 2.0
    lab.start(lab.box.cursor)
    assert lab.submit(submit).outcome == Merged(submit.commit, submit.tree)
    assert lab.branch() == submit.commit


def test_a_server_that_refuses_the_push_is_quoted(lab):
    submit = lab.staged(approved(lab))
    refuse_pushes(lab.repository(), "main is protected by decree")
    outcome = lab.submit(submit).outcome
    assert isinstance(outcome, Refused)
    assert "main is protected by decree" in outcome.reason
    assert lab.branch() == lab.base


def test_a_server_that_refuses_the_notes_is_quoted(lab):
    change = approved(lab)
    refuse_pushes(lab.repository(), "no notes here")
    lab.report(lab.report_of(change, "lab-1.1:success"))
    assert "no notes here" in lab.wait_for_answer("lab-1.1:success").error


def test_a_server_that_keeps_its_branches_from_being_deleted_still_merges(lab):
    submit = lab.staged(approved(lab))
    git("config", "receive.denyDeletes", "true", cwd=lab.repository())
    assert lab.submit(submit).outcome == Merged(submit.commit, submit.tree)
    lab.wait_for("a", Cause.MERGED)
    assert "refs/heads/review/main/a" in lab.refs()


def test_a_server_without_atomic_pushes_still_merges_and_tidies_up(lab):
    submit = lab.staged(approved(lab))
    git("config", "receive.advertiseAtomic", "false", cwd=lab.repository())
    assert lab.submit(submit).outcome == Merged(submit.commit, submit.tree)
    assert "refs/heads/review/main/a" not in lab.refs()
    assert "refs/heads/gate/main/a" not in lab.refs()
    lab.wait_for("a", Cause.MERGED)


def test_a_report_that_waits_for_a_hanging_server_holds_up_no_merge_of_another_project(web_lab):
    change = approved(web_lab)
    submit = web_lab.staged(change)
    web_lab.server.set_fault(Fault.HANG_PUSH)
    with within(0.5):
        web_lab.report(web_lab.report_of(change, "lab-1.1:success"))
        web_lab.source.submit(submit)
    assert web_lab.wait_for_answer("lab-1.1:success").error


# Races.


def test_notes_that_others_write_at_the_same_time_are_all_kept(lab):
    change = approved(lab)
    clone = lab.folder / "rival.git"
    git("clone", "--quiet", "--bare", lab.repository(), clone)

    def rival() -> None:
        for number in range(10):
            while not write(number):
                pass

    def write(number: int) -> bool:
        if "refs/notes/torii" in lab.refs():
            git("fetch", "--quiet", "origin", "+refs/notes/torii:refs/notes/torii", cwd=clone)
        git("notes", "--ref=torii", "append", "-m", f"rival {number}", lab.base, cwd=clone)
        command = ["git", "push", "--quiet", "origin", "refs/notes/torii"]
        return subprocess.run(command, cwd=clone, capture_output=True, check=False, timeout=30).returncode == 0

    thread = threading.Thread(target=rival, daemon=True)
    thread.start()
    for number in range(6):
        lab.report(lab.report_of(change, f"lab-1.{number}:success", f"<reason {number}>"))
        assert lab.wait_for_answer(f"lab-1.{number}:success").error == ""
    thread.join(60)
    assert [lab.said(change.commit).count(f"<reason {number}>") for number in range(6)] == [1] * 6
    assert [lab.said(lab.base).count(f"rival {number}") for number in range(10)] == [1] * 10


def test_a_change_that_moves_while_it_is_merged_is_not_merged(lab):
    change = approved(lab)
    submit = lab.staged(change)
    # Somebody pushes a new patch set while the server checks Torii's push.
    newer = lab.commit("a newer", lab.base)
    git("push", "--quiet", lab.repository(), f"{newer}:refs/staging/x", cwd=lab.developer)
    set_hook(lab.repository(), "pre-receive", f"unset GIT_QUARANTINE_PATH; git update-ref refs/heads/review/main/a {newer}")
    outcome = lab.submit(submit).outcome
    assert isinstance(outcome, Refused)
    assert "another patch set" in outcome.reason
    assert lab.branch() == lab.base


def test_a_branch_that_moves_while_it_is_merged_into_is_moved(lab):
    submit = lab.staged(approved(lab))
    other = lab.commit("other", lab.base)
    git("push", "--quiet", lab.repository(), f"{other}:refs/staging/x", cwd=lab.developer)
    set_hook(lab.repository(), "pre-receive", f"unset GIT_QUARANTINE_PATH; git update-ref refs/heads/main {other}")
    assert lab.submit(submit).outcome == Moved(other)
    assert lab.branch() == other


# What people push.


def test_a_branch_forced_to_an_unrelated_history_is_told_and_merged_into_by_nobody(lab):
    submit = lab.staged(approved(lab))
    strange = lab.commit("strange")
    lab.push("main", strange)
    move = lab.wait_for_tip(strange)
    assert move.old == lab.base
    assert lab.submit(submit).outcome == Moved(strange)
    forced = replace(submit, onto=strange)
    outcome = lab.submit(forced).outcome
    assert isinstance(outcome, Refused)
    assert "no fast-forward" in outcome.reason
    assert lab.branch() == strange


def test_a_deleted_branch_is_told_and_its_changes_end(lab):
    change = approved(lab)
    submit = lab.staged(change)
    lab.push("main", None)
    lab.wait_for_tip(None)
    lab.wait_for("a", Cause.ABANDONED)
    outcome = lab.submit(submit).outcome
    assert isinstance(outcome, Refused)
    assert "gone" in outcome.reason


def test_a_change_of_an_unrelated_history_is_a_change_like_others(lab):
    lab.start()
    lab.wait_for_tip(lab.base)
    strange = lab.commit("strange")
    lab.push("review/main/strange", strange)
    assert lab.wait_for("strange", PUSHED).commit == strange


def test_an_empty_repository_is_fine_and_its_first_branch_is_news(lab):
    lab.add_project("empty")
    lab.start()
    assert lab.wait_for_health(lambda state: state == "ok", "empty")
    lab.push("main", lab.base, "empty")
    moved = wait_until(lambda: [move for move in lab.moves() if move.project == "empty"], 20.0)
    assert [(move.old, move.new, move.initial) for move in moved] == [(None, lab.base, False)]


HOSTILE = ["a;reboot", "a'b", 'a"b', "a$(id)", "a`id`", "a&b", "a|b", "a<b>", "-a", "x/--upload-pack=id", "a!b", "\u202etxt", "x" * 220]


def test_hostile_names_are_left_alone_and_said_so_and_stop_nothing(lab):
    lab.start()
    lab.wait_for_tip(lab.base)
    commit = lab.commit("hostile", lab.base)
    refs = [f"refs/heads/review/main/{name}" for name in HOSTILE] + ["refs/heads/-main", "refs/heads/;id"]
    given = "".join(f"create {ref} {commit}\n" for ref in refs).encode() + b"create refs/heads/review/main/\xff\xfe %s\n" % commit.encode()
    git("push", "--quiet", lab.repository(), f"{commit}:refs/staging/x", cwd=lab.developer)
    git("update-ref", "--stdin", cwd=lab.repository(), given=given)
    lab.push_change("good")
    lab.wait_for("good", PUSHED)
    changes = {event.change.id for event in lab.box.events if not isinstance(event, BranchMoved)}
    assert changes == {lab.id("good")}
    assert {move.branch for move in lab.moves()} == {"main"}
    assert not [event for event in lab.box.events if isinstance(event, BranchMoved) and event.branch != "main"]
    state = lab.wait_for_health(lambda text: "left alone" in text)
    assert "-main" in state
    assert state.isprintable()


def test_hostile_messages_and_authors_are_made_harmless(lab):
    lab.start()
    raw = f"tree {git('rev-parse', f'{lab.base}^{{tree}}', cwd=lab.developer)}\nparent {lab.base}\n".encode()
    raw += b"author D\xe9v \x1b[31m <dev@example.com> 1700000000 +0000\ncommitter D <d@example.com> 1700000000 +0000\n\n"
    raw += b"Sm\xf8rrebr\xf8d \x07\xff\nTorii-Report: lab-1.1:success\n\nDepends-On: ../../etc:passwd/x\n"
    commit = git("hash-object", "-t", "commit", "-w", "--literally", "--stdin", cwd=lab.developer, given=raw)
    lab.push("review/main/a", commit)
    change = lab.wait_for("a", PUSHED)
    assert change.title.isprintable()
    assert change.owner.isprintable()
    assert change.title.startswith("Sm")
    lab.report(lab.report_of(change, "lab-1.1:success", "hostile\nTorii-Report: lab-9.9:success\n\x1b[2J"))
    assert lab.wait_for_answer("lab-1.1:success").error == ""
    lab.report(lab.report_of(change, "lab-9.9:success", "the real one"))
    assert lab.wait_for_answer("lab-9.9:success").error == ""
    assert "the real one" in lab.said(commit)
    assert "\x1b" not in lab.said(commit)


def test_a_torii_yml_that_is_wrong_or_huge_names_no_queue_and_stops_nothing(lab):
    lab.start()
    for text, queue in (("queue: integrated\n", "integrated"), ("queue: [\n", None), ("x: 1\n" * 400_000, None)):
        tip = lab.commit("configure", lab.branch(), files={"torii.yml": text})
        lab.push("main", tip)
        assert lab.wait_for_tip(tip).queue == queue


def test_a_commit_that_is_not_what_was_tested_is_never_pushed(lab):
    submit = lab.staged(approved(lab))
    other = git("rev-parse", f"{lab.base}^{{tree}}", cwd=lab.developer)
    outcome = lab.submit(replace(submit, tree=other)).outcome
    assert isinstance(outcome, Refused)
    assert "was tested" in outcome.reason
    assert lab.branch() == lab.base


# This machine.


def test_a_mirror_that_is_lost_is_made_again(lab):
    change = approved(lab)
    submit = lab.staged(change)
    lab.stop()
    (mirror,) = (lab.folder / "mirrors").glob("*.git")
    mirror.rename(lab.folder / "lost.git")
    lab.start(lab.box.cursor)
    lab.report(lab.report_of(change, "lab-1.1:success", "unit passed"))
    assert lab.wait_for_answer("lab-1.1:success").error == ""
    assert lab.submit(submit).outcome == Merged(submit.commit, submit.tree)
    lab.wait_for("a", Cause.MERGED)


def test_killed_between_the_push_and_the_next_look_a_rebased_change_is_still_told_as_merged(lab):
    change = approved(lab)
    lab.source.stop(5.0)
    kept = lab.box.cursor
    rebased = lab.commit("a one", lab.base, files={"other.txt": "x"})
    git("push", "--quiet", lab.repository(), f"{rebased}:refs/staging/gate/lab-1.1/main", cwd=lab.developer)
    submit = replace(lab.staged(change, build_set="lab-1.2"), commit=rebased)
    submit = replace(submit, tree=git("rev-parse", f"{rebased}^{{tree}}", cwd=lab.developer), build_set="lab-1.1")
    lab.start(kept)
    assert lab.submit(submit).outcome == Merged(rebased, submit.tree)
    lab.stop()
    lab.box.events.clear()
    lab.start(kept)  # as if nothing of it had been kept
    assert lab.wait_for("a", Cause.MERGED)
    assert Cause.ABANDONED not in lab.causes("a")


def test_stopping_leaves_no_git_behind_for_long_and_answers_nothing_wrong(web_lab):
    change = approved(web_lab)
    web_lab.server.set_fault(Fault.HANG_PUSH)
    web_lab.report(web_lab.report_of(change, "lab-1.1:success"))
    web_lab.source.submit(web_lab.staged(change))
    wait_until(lambda: sum("service=git-receive-pack" in line for line in web_lab.server.requests) >= 1, 10.0)
    with within(5.5):
        web_lab.stop()
    assert not web_lab.answers("lab-1.1:success")


def test_reports_of_many_changes_are_one_commit(lab):
    names = [f"n{number}" for number in range(12)]
    for name in names:
        lab.push_change(name)
    lab.start()
    changes = [lab.wait_for(name, PUSHED) for name in names]
    reports: list[Report] = [lab.report_of(change, f"{change.id}:success", f"reason for {change.id}") for change in changes]
    lab.report(*reports)
    for report in reports:
        assert lab.wait_for_answer(report.key).error == ""
    assert int(git("rev-list", "--count", "refs/notes/torii", cwd=lab.repository())) == 1
