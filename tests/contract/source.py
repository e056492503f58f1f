"""What every source does, whatever it speaks to: a backend's test file is this class with a fixture, and nothing else.

Subclasses give `lab`: a server with a project `app`, a branch `main` and a developer, and a source that is made but not started.
"""

from __future__ import annotations

from tests.support.waiting import wait_until, within
from torii.model.change import ChangeStatus
from torii.model.event import Merged, Moved, Refused, SubmitUnavailable
from torii.model.pipeline import Cause

PUSHED, APPROVED = Cause.PATCHSET_CREATED, Cause.APPROVED


class SourceContract:
    """Changes in, reports and merges out."""

    def test_what_is_there_at_the_first_start_is_told(self, lab):
        lab.push_change("a", title="Fix the login")
        lab.push_change("b")
        lab.approve("b")
        lab.start()
        change = lab.wait_for("a", PUSHED)
        assert (change.id, change.project, change.branch) == (lab.id("a"), "app", "main")
        assert (change.title, change.owner) == ("Fix the login", lab.owner)
        assert change.status is ChangeStatus.OPEN
        assert not change.approved
        assert lab.wait_for("b", APPROVED).approved
        assert [move.initial for move in lab.moves()] == [True]

    def test_a_change_is_told_from_push_to_abandon_and_back(self, lab):
        lab.start()
        lab.wait_for_tip(lab.base)
        first = lab.push_change("a")
        assert lab.wait_for("a", PUSHED).commit == first
        second = lab.new_patchset("a")
        assert lab.wait_for("a", PUSHED, commit=second).commit == second
        lab.approve("a")
        assert lab.wait_for("a", APPROVED).approved
        lab.unapprove("a")
        lab.wait_for("a", lab.unapproving, approved=False)
        lab.abandon("a")
        assert lab.wait_for("a", Cause.ABANDONED).status is ChangeStatus.ABANDONED
        lab.restore("a")
        assert lab.wait_for("a", Cause.RESTORED).status is ChangeStatus.OPEN
        assert len({event.key for event in lab.told("a")}) == 6

    def test_a_push_past_the_gate_is_told(self, lab):
        lab.start()
        lab.wait_for_tip(lab.base)
        tip = lab.push_branch()
        move = lab.wait_for_tip(tip)
        assert (move.old, move.initial) == (lab.base, False)

    def test_what_happened_while_torii_was_away_is_told_once(self, lab):
        lab.push_change("a")
        lab.start()
        lab.wait_for("a", PUSHED)
        lab.stop()
        lab.abandon("a")
        lab.push_change("b")
        tip = lab.push_branch()
        lab.start(lab.box.cursor)
        lab.wait_for("b", PUSHED)
        lab.wait_for("a", Cause.ABANDONED)
        lab.wait_for_tip(tip)
        lab.restart()
        lab.push_change("c")
        lab.wait_for("c", PUSHED)
        assert lab.causes("a") == [PUSHED, Cause.ABANDONED]
        assert lab.causes("b") == [PUSHED]
        assert [move.new for move in lab.moves()] == [lab.base, tip]

    def test_killed_before_its_cursor_was_kept_it_tells_the_same_again(self, lab):
        lab.start()
        lab.wait_for_tip(lab.base)
        kept = lab.box.cursor
        lab.push_change("a")
        lab.wait_for("a", PUSHED)
        lab.stop()
        lab.start(kept)
        wait_until(lambda: len(lab.told("a")) == 2, 20.0)
        first, again = lab.told("a")
        assert first == again

    def test_a_change_on_top_of_another_depends_on_it(self, lab):
        below = lab.push_change("a")
        lab.push_change("b", on=below)
        lab.start()
        assert lab.wait_for("b", PUSHED).depends_on == (lab.id("a"),)

    def test_a_report_reaches_the_change_once_however_often_it_is_asked_for(self, lab):
        commit = lab.push_change("a")
        lab.start()
        change = lab.wait_for("a", PUSHED)
        lab.report(lab.report_of(change, "lab-1.1:success", "unit passed"))
        assert lab.wait_for_answer("lab-1.1:success").error == ""
        lab.restart()
        lab.report(lab.report_of(change, "lab-1.1:success", "unit passed", again=True))
        assert lab.wait_for_answer("lab-1.1:success", count=2).error == ""
        lab.report(lab.report_of(change, "lab-1.2:failure", "unit failed"))
        assert lab.wait_for_answer("lab-1.2:failure").error == ""
        assert lab.said(commit).count("unit passed") == 1
        assert lab.said(commit).count("unit failed") == 1

    def test_many_reports_at_once_are_each_answered(self, lab):
        commits = {name: lab.push_change(name) for name in "abc"}
        lab.start()
        changes = {name: lab.wait_for(name, PUSHED) for name in commits}
        lab.report(*(lab.report_of(change, f"{name}.1:success", f"passed {name}") for name, change in changes.items()))
        for name, commit in commits.items():
            assert lab.wait_for_answer(f"{name}.1:success").error == ""
            assert f"passed {name}" in lab.said(commit)

    def test_a_report_on_a_branch_reaches_its_commit(self, lab):
        lab.start()
        lab.wait_for_tip(lab.base)
        state = lab.carrying()
        lab.report(lab.report_of(state, "lab-2.1:success", "published"))
        assert lab.wait_for_answer("lab-2.1:success").error == ""
        assert "published" in lab.said(state.commit)

    def test_what_was_tested_is_merged_and_told_as_merged(self, lab):
        lab.push_change("a")
        lab.approve("a")
        lab.start()
        submit = lab.staged(lab.wait_for("a", APPROVED))
        outcome = lab.submit(submit).outcome
        assert outcome == lab.landed(submit)
        assert outcome.tree == lab.tree(lab.branch()) == submit.tree
        assert lab.branch() == outcome.commit
        assert lab.wait_for("a", Cause.MERGED).status is ChangeStatus.MERGED
        lab.wait_for_tip(outcome.commit)
        assert Cause.ABANDONED not in lab.causes("a")

    def test_a_submit_asked_for_again_is_answered_again_and_merges_once(self, lab):
        lab.push_change("a")
        lab.approve("a")
        lab.start()
        submit = lab.staged(lab.wait_for("a", APPROVED))
        first = lab.submit(submit)
        lab.restart()
        assert lab.submit(submit) == first
        tip = lab.push_branch()
        assert isinstance(lab.submit(submit).outcome, Merged)
        assert lab.branch() == tip

    def test_a_change_that_is_not_what_was_tested_is_not_merged(self, lab):
        for name in "abc":
            lab.push_change(name)
            lab.approve(name)
        lab.start()
        submits = {name: lab.staged(lab.wait_for(name, APPROVED), build_set=f"{name}.1") for name in "abc"}
        lab.new_patchset("a")
        lab.unapprove("b")
        lab.unapprove("c")
        lab.abandon("c")
        outcomes = {name: lab.submit(submit).outcome for name, submit in submits.items()}
        assert all(isinstance(outcome, Refused) for outcome in outcomes.values())
        assert "another patch set" in outcomes["a"].reason
        assert "no longer approved" in outcomes["b"].reason
        assert "gone" in outcomes["c"].reason
        assert lab.branch() == lab.base

    def test_nothing_is_merged_onto_a_branch_that_moved(self, lab):
        lab.push_change("a")
        lab.approve("a")
        lab.start()
        submit = lab.staged(lab.wait_for("a", APPROVED))
        tip = lab.push_branch()
        assert lab.submit(submit).outcome == Moved(tip)
        assert lab.branch() == tip

    def test_an_outage_is_said_so_and_loses_nothing(self, lab):
        commit = lab.push_change("a")
        lab.approve("a")
        lab.start()
        change = lab.wait_for("a", APPROVED)
        submit = lab.staged(change)
        lab.outage()
        assert isinstance(lab.submit(submit).outcome, SubmitUnavailable)
        lab.report(lab.report_of(change, "lab-1.1:success", "unit passed"))
        assert lab.wait_for_answer("lab-1.1:success").error
        lab.back()
        assert isinstance(lab.submit(submit).outcome, Merged)
        lab.report(lab.report_of(change, "lab-1.1:success", "unit passed", again=True))
        assert lab.wait_for_answer("lab-1.1:success", count=2).error == ""
        assert lab.said(commit).count("unit passed") == 1
        lab.wait_for("a", Cause.MERGED)

    def test_what_happens_in_an_outage_is_told_after_it(self, lab):
        lab.start()
        lab.wait_for_tip(lab.base)
        lab.outage()
        lab.wake()
        lab.wait_for_health(lambda state: state != "ok")
        lab.back()
        lab.push_change("a")
        lab.wait_for("a", PUSHED)
        assert lab.wait_for_health(lambda state: state == "ok")

    def test_it_stops_at_once(self, lab):
        lab.start()
        lab.wait_for_tip(lab.base)
        with within(5.0):
            lab.stop()
