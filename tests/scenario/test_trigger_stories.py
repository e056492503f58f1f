"""Stories about what lets a change in and what puts it out, as a review server tells it: comments, votes, topics, ages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from torii.model.build import FileComment, Result
from torii.model.change import Approval
from torii.model.event import BuildDone
from torii.model.ids import ChangeId
from torii.model.pipeline import ApprovalRule, Cause, MergeMode, Requirements
from torii.testing.story import PureStory, story_config, with_recheck


def configured(gate: Requirements | None = None) -> PureStory:
    config = with_recheck(story_config())
    specs = [replace(spec, require=gate) if spec.name == "gate" and gate is not None else spec for spec in config.pipelines]
    return PureStory(config=replace(config, pipelines=tuple(specs)))


@pytest.fixture
def story() -> PureStory:
    return configured()


def vote(story: PureStory, value: int, age: float = 0.0, by: str = "lead") -> tuple[Approval, ...]:
    return (Approval("Code-Review", value, by, story.lab.now - age),)


def test_a_change_that_is_approved_by_whatever_event_enters_the_gate(story):
    a = story.push("a")
    story.alter(a, Cause.UPDATED, approved=True)  # its last open comment was resolved
    assert story.running(a) == ["unit"]
    assert "taken into gate: approved" in story.why(a)


def test_a_change_that_is_approved_when_it_is_first_heard_of_waits_for_its_trigger(story):
    a = ChangeId("app:main/a")
    story.lab.forge.push_change(a, story.project, "main", {"a.txt": "a"})
    story.alter(a, Cause.UPDATED, approved=True)  # told because another depends on it, say
    assert story.running(a) == []
    story.comment(a, "LGTM", also=(Cause.APPROVED,))
    assert story.running(a) == ["unit"]


def test_a_vote_that_is_copied_to_a_new_patch_set_gates_that(story):
    (a,) = story.approve("a")
    story.finish(a, "unit", "FAILURE")
    story.lab.forge.push_change(a, story.project, "main", {"a.txt": "better"})
    story.alter(a, Cause.PATCHSET_CREATED, approved=True)
    assert story.running(a) == ["unit"]


def test_an_approval_told_twice_gates_once(story):
    (a,) = story.approve("a")
    story.finish(a, "unit", "FAILURE")
    story.comment(a, "nice")
    assert story.running(a) == []


def test_a_comment_that_is_no_command_starts_nothing(story):
    a = story.push("a")
    story.finish_all()
    story.comment(a, "please do not recheck this")
    assert story.running(a, "check") == []
    story.comment(a, "Patch Set 1:\n\nrecheck")
    assert story.running(a, "check") == ["lint", "unit"]
    assert 'taken into check: dev asked for it ("recheck")' in story.why(a)


def test_a_recheck_of_what_is_being_checked_is_on_record_and_changes_nothing(story):
    a = story.push("a")
    before = len(story.lab.builds)
    story.comment(a, "recheck")
    assert len(story.lab.builds) == before
    assert 'dev asked for it ("recheck"), but it is in check already' in story.why(a)


def test_work_in_progress_leaves_the_gate_and_says_so():
    story = configured(Requirements(approved=True, wip=False))
    (a,) = story.approve("a")
    story.alter(a, Cause.UPDATED, wip=True)
    assert story.reported(a) == "DEQUEUED"
    assert "no longer meets what gate requires: it is work in progress" in story.why(a)
    story.alter(a, Cause.READY, wip=False)
    story.approve("a")
    story.finish_all()
    assert story.merged == [a]


def test_a_vote_that_ages_throws_nothing_out():
    rule = ApprovalRule("Code-Review", 2, newer_than=3600)
    story = configured(Requirements(approvals=(rule,)))
    a = story.push("a")
    story.alter(a, Cause.APPROVED, approved=True, approvals=vote(story, 2, age=3000))
    story.lab.pass_time(3000)
    story.comment(a, "still good")
    story.restart()
    story.comment(a, "and after a restart too")
    assert story.running(a) == ["unit"]
    story.alter(a, Cause.VOTE_DELETED, approvals=())
    assert story.running(a) == []
    assert "no vote of +2 on Code-Review, at most 1 h old" in story.why(a)


def test_a_vote_that_is_too_old_lets_nothing_in():
    story = configured(Requirements(approvals=(ApprovalRule("Code-Review", 2, newer_than=3600),)))
    a = story.push("a")
    story.alter(a, Cause.APPROVED, approved=True, approvals=vote(story, 2, age=4000))
    assert story.running(a) == []
    assert "not taken into gate: no vote of +2 on Code-Review, at most 1 h old" in story.why(a)


def test_a_change_says_itself_how_it_is_merged(story):
    a = story.push("a")
    story.alter(a, Cause.APPROVED, approved=True, merge=MergeMode.CHERRY_PICK)
    submits = []
    perform = story.lab.forge.submit

    def note(submit):
        submits.append(submit.mode)
        return perform(submit)

    story.lab.forge.submit = note
    story.finish(a, "unit")
    assert submits == [MergeMode.CHERRY_PICK]


def test_a_report_says_what_builds_said_of_files(story):
    a = story.push("a")
    said = (FileComment("a.txt", "trailing blank", 3),)
    for held in story.lab.running():
        held.result = Result.SUCCESS
        story.lab.pending.append(BuildDone(held.request.id, Result.SUCCESS, 1.0, comments=said if held.request.job.name == "lint" else ()))
    story.lab.settle()
    (report,) = story.reports(a, "check")
    assert {one.job: one.comments for one in report.builds} == {"unit": (), "lint": said}


def test_a_vote_that_has_to_be_older_lets_the_change_in_when_it_is():
    story = configured(Requirements(approvals=(ApprovalRule("Code-Review", 2, older_than=3600),)))
    a = story.push("a")
    story.alter(a, Cause.APPROVED, approved=True, approvals=vote(story, 2))
    assert "waits at the door of gate: no vote of +2 on Code-Review, at least 1 h old" in story.why(a)
    story.comment(a, "still waiting")
    story.lab.pass_time(3599)
    story.restart()
    assert story.running(a) == []
    story.lab.pass_time(1)
    story.lab.settle()
    assert story.running(a) == ["unit"]
    assert story.why(a).count("waits at the door") == 1


def test_a_vote_against_it_that_is_new_keeps_a_change_out_until_it_is_older():
    story = configured(Requirements(approved=True, reject=(ApprovalRule("Code-Review", -1, newer_than=600),)))
    a = story.push("a")
    story.alter(a, Cause.APPROVED, approved=True, approvals=vote(story, -1))
    story.lab.pass_time(600)
    assert story.running(a) == []
    story.lab.pass_time(1)
    story.lab.settle()
    assert story.running(a) == ["unit"]


def test_a_change_that_waits_for_a_vote_to_age_and_loses_it_waits_no_longer():
    story = configured(Requirements(approvals=(ApprovalRule("Code-Review", 2, older_than=3600),)))
    a = story.push("a")
    story.alter(a, Cause.APPROVED, approved=True, approvals=vote(story, 2))
    story.alter(a, Cause.VOTE_DELETED, approvals=())
    assert story.lab.gate.state.held == {}
    story.lab.pass_time(3600)
    story.lab.settle()
    assert story.running(a) == []
