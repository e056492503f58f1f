"""Gating stories on the pure gate: the dependent pipeline. The first stories of all are in test_common_stories.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from torii.model.build import Result
from torii.model.event import BuildStalled, BuildStarted, Dequeue, Merged, MergeDone, SubmitDone, Tick
from torii.model.pipeline import Cause
from torii.testing.story import PureStory

SAME = "same.txt"


@pytest.fixture
def story() -> PureStory:
    return PureStory()


def test_a_change_that_passes_is_merged_and_voted_on(story):
    (a,) = story.approve("a")
    assert story.running(a) == ["unit"]
    story.finish(a, "unit")
    assert story.merged == [a]
    assert story.votes(a) == ["+1"]
    assert "merged as" in story.why(a)


def test_changes_merge_in_queue_order_however_their_builds_end(story):
    a, b, c = story.approve("a", "b", "c")
    story.finish(c, "unit")
    story.finish(b, "unit")
    assert story.merged == []
    assert "waits for what is ahead" in story.why(b)
    story.finish(a, "unit")
    assert story.merged == [a, b, c]


def test_nothing_that_happens_behind_an_item_restarts_its_builds(story):
    (a,) = story.approve("a")
    before = [held.request.id for held in story.lab.running() if held.request.change == a]
    b, c = story.approve("b", "c")
    story.finish(b, "unit", "FAILURE")
    story.abandon(c)
    story.approve("d")
    assert [held.request.id for held in story.lab.running() if held.request.change == a] == before


def test_what_is_being_merged_while_the_change_ahead_of_it_lands_is_not_tested_again(story):
    a, b, c = story.approve("a", "b", "c")
    lab = story.lab
    of = {held.request.change: held for held in lab.running() if held.request.pipeline == "gate"}
    lab.end(of[b].request.id, Result.FAILURE)
    lab.feed(lab.pending.pop())
    (staged,) = [answer for answer in lab.pending if isinstance(answer, MergeDone)]
    lab.pending.remove(staged)
    lab.end(of[a].request.id, Result.SUCCESS)
    lab.settle()
    assert story.merged == [a]
    assert story.reported(b) == "FAILURE"
    lab.feed(staged)
    lab.settle()
    assert "past the gate" not in story.why(c)
    assert len([held for held in lab.builds.values() if (held.request.change, held.request.pipeline) == (c, "gate")]) == 2
    story.finish(c, "unit")
    assert story.merged == [a, c]


def test_a_conflict_with_a_change_ahead_that_fails_is_forgotten(story):
    story.push("a", {SAME: "a"})
    b = story.push("b", {SAME: "b"})
    a, b = story.approve("a", "b")
    story.finish(a, "unit", "FAILURE")
    assert story.running(b) == ["unit"]
    story.finish(b, "unit")
    assert story.merged == [b]


def test_a_conflict_with_the_branch_is_reported_at_once(story):
    a = story.push("a", {SAME: "a"})
    story.push_past_the_gate({SAME: "someone else"})
    story.approve("a")
    assert story.reported(a) == "MERGE CONFLICT"


def test_a_new_patch_set_takes_the_old_one_out_and_stops_its_builds(story):
    a, b = story.approve("a", "b")
    old = story.lab.running()
    story.push("a", {"a.txt": "better"})
    assert all(held.stopped for held in old if held.request.change == a)
    assert story.built_on(b) == ()
    assert "replaced by patch set 2" in story.why(a)
    story.finish_all()
    assert story.merged == [b, a] or story.merged == [b]
    assert story.files()["b.txt"] == "b 0"


def test_an_abandoned_change_leaves_and_can_come_back(story):
    a, b = story.approve("a", "b")
    story.abandon(a)
    assert story.running(a) == []
    assert story.built_on(b) == ()
    story.restore(a)
    assert story.running(a, "check") == ["lint", "unit"]
    story.approve("a")
    story.finish_all()
    assert story.merged == [b, a]


def test_a_change_that_loses_its_approval_leaves_and_is_told(story):
    a, b = story.approve("a", "b")
    story.unapprove(a)
    assert story.reported(a) == "DEQUEUED"
    story.finish_all()
    assert story.merged == [b]


def test_a_push_past_the_gate_tests_everything_again(story):
    a, b = story.approve("a", "b")
    story.push_past_the_gate({"hotfix": "1"})
    assert "moved past the gate" in story.why(a)
    story.finish_all()
    assert story.merged == [a, b]
    assert story.files() == {**story.files(), "hotfix": "1", "a.txt": "a 0", "b.txt": "b 0"}


def test_a_push_past_the_gate_that_nobody_told_of_is_found_when_merging(story):
    (a,) = story.approve("a")
    story.lab.forge.push_branch(story.project, "main", {"hotfix": "1"})
    story.finish(a, "unit")
    assert story.merged == []
    assert story.running(a) == ["unit"]
    story.finish(a, "unit")
    assert story.merged == [a]


def test_a_branch_that_was_set_back_and_nobody_told_of_it_is_found_when_staging(story):
    before = story.lab.forge.branches["app", "main"]
    story.push_past_the_gate({"hotfix": "1"})
    story.lab.forge.branches["app", "main"] = before  # by force
    a = story.push("a")
    story.lab.feed(story.lab.forge.approve(a))
    story.lab.settle(limit=100)
    story.finish(a, "unit")
    assert story.merged == [a]
    assert "hotfix" not in story.files()


def test_a_merge_that_is_refused_takes_the_change_out_with_the_reason(story):
    a, b = story.approve("a", "b")
    story.lab.forge.refuse[a] = "the branch is closed"
    story.finish(a, "unit")
    assert story.verdicts(a) == ["success", "not merged"]
    assert "the branch is closed" in story.why(a)
    assert story.built_on(b) == ()
    story.finish_all()
    assert story.merged == [b]


def test_approving_a_series_from_its_end_takes_what_it_depends_on_first(story):
    a = story.push("a")
    b = story.push("b", depends_on=[a])
    story.lab.forge.approve(a)  # the news of it is late
    story.lab.feed(story.lab.forge._news(a, Cause.UPDATED))
    story.approve("b")
    assert story.built_on(b) == (a,)


def test_what_depends_on_a_failed_change_leaves_with_it(story):
    a = story.push("a")
    b = story.push("b", depends_on=[a])
    c = story.push("c")
    story.approve("a", "b", "c")
    story.finish(a, "unit", "FAILURE")
    assert story.reported(b) == "DEQUEUED"
    assert f"depends on {a}, which left" in story.why(b)
    story.finish_all()
    assert story.merged == [c]


def test_the_window_shrinks_by_failure_and_grows_by_success():
    story = PureStory()
    names = [f"c{number:02}" for number in range(30)]
    changes = story.approve(*names)
    tested = [change for change in changes if story.running(change)]
    assert tested == list(changes[:20])
    story.finish(changes[0], "unit", "FAILURE")
    assert [change for change in changes if story.running(change)] == list(changes[1:11])
    story.finish(changes[1], "unit")
    assert [change for change in changes if story.running(change)] == list(changes[2:13])
    story.finish_all()
    assert story.merged == list(changes[1:])


def test_a_lost_build_is_tried_again_and_not_held_against_the_change(story):
    (a,) = story.approve("a")
    story.finish(a, "unit", "LOST")
    assert "attempt 2 of 3" in story.why(a)
    story.finish(a, "unit", "LOST")
    story.finish(a, "unit")
    assert story.merged == [a]


def test_a_build_that_is_lost_each_time_fails_at_last(story):
    (a,) = story.approve("a")
    for _ in range(3):
        story.finish(a, "unit", "LOST")
    assert story.reported(a) == "FAILURE"
    assert story.merged == []


def test_the_same_event_twice_does_nothing(story):
    (a,) = story.approve("a")
    count = len(story.lab.builds)
    for _, event in list(story.lab.journal):
        if type(event).__name__ in ("ChangeUpdated", "BranchMoved", "BuildStarted", "MergeDone"):
            story.lab.feed(event)
            story.lab.settle()
    assert len(story.lab.builds) == count
    story.finish(a, "unit")
    assert story.merged == [a]


def test_nobody_who_knows_the_job_is_said_and_after_a_while_reported():
    story = PureStory(unregistered_limit=60.0)
    story.lab.unregistered.add("unit")
    (a,) = story.approve("a")
    assert "unit cannot start: no worker has registered build:unit" in story.why(a)
    story.lab.pass_time(59)
    story.lab.settle()
    assert story.reported(a) == ""
    story.lab.pass_time(1)
    story.lab.settle()
    assert story.reported(a) == "FAILURE"
    assert "found no worker" in story.why(a)


def test_a_worker_that_comes_in_time_runs_the_build():
    story = PureStory(unregistered_limit=60.0)
    story.lab.unregistered.add("unit")
    (a,) = story.approve("a")
    story.lab.pass_time(30)
    story.lab.register("unit")
    story.lab.settle()
    assert "unit has started" in story.why(a)
    story.lab.pass_time(60)
    story.finish(a, "unit")
    assert story.merged == [a]


def test_a_build_that_starts_without_a_word_of_the_end_of_its_stall_is_said_to_have_started():
    story = PureStory()
    story.lab.unregistered.add("unit")
    (a,) = story.approve("a")
    (held,) = (one for one in story.lab.running() if one.request.pipeline == "gate")
    story.lab.feed(BuildStarted(held.request.id, "node"))
    assert "unit has started" in story.why(a)


def test_a_build_that_cannot_be_seen_is_waited_for_and_the_item_says_why(story):
    (a,) = story.approve("a")
    (held,) = (one for one in story.lab.running() if one.request.pipeline == "gate")
    story.lab.feed(BuildStalled(held.request.id, "Jenkins ci does not answer"))
    assert "what becomes of unit cannot be seen at present: Jenkins ci does not answer" in story.why(a)
    story.lab.pass_time(held.request.job.timeout + 10 * story.lab.config.build_grace)
    story.lab.settle()
    assert story.running(a) == ["unit"]  # it has not been taken for lost
    story.lab.feed(BuildStalled(held.request.id, ""))
    assert "unit can be seen again" in story.why(a)
    story.finish(a, "unit")
    assert story.merged == [a]


def test_a_build_that_waits_for_somebody_who_is_away_is_waited_for_without_a_limit():
    story = PureStory(unregistered_limit=60.0)
    story.lab.unregistered.add("unit")
    (a,) = story.approve("a")
    (held,) = (one for one in story.lab.running() if one.request.pipeline == "gate")
    story.lab.feed(BuildStalled(held.request.id, "Jenkins ci does not answer", away=True))
    story.lab.pass_time(3600)
    story.lab.settle()
    assert story.reported(a) == ""
    story.lab.feed(BuildStalled(held.request.id, "no node has the label gpu"))
    story.lab.pass_time(59)
    story.lab.settle()
    assert story.reported(a) == ""
    story.lab.pass_time(1)
    story.lab.settle()
    assert story.reported(a) == "FAILURE"
    assert "no node has the label gpu" in story.why(a)


def test_a_build_that_is_begun_anew_elsewhere_says_so_and_a_start_that_is_told_twice_does_not(story):
    (a,) = story.approve("a")
    (held,) = (one for one in story.lab.running() if one.request.pipeline == "gate")
    for number in (7, 7):
        story.lab.feed(BuildStarted(held.request.id, "agent1", number))
    assert "anew" not in story.why(a)
    story.lab.feed(BuildStarted(held.request.id, "agent2", 8))
    assert "unit was lost where it ran and has been begun anew on agent2, as number 8" in story.why(a)
    story.finish(a, "unit")
    assert story.merged == [a]


def test_a_build_of_which_nothing_is_heard_long_after_its_time_is_run_again(story):
    (a,) = story.approve("a")
    (held,) = (one for one in story.lab.running() if one.request.pipeline == "gate")
    story.lab.pass_time(held.request.job.timeout + story.lab.config.build_grace)
    story.lab.settle()
    (again,) = (one for one in story.lab.running() if one.request.pipeline == "gate" and one is not held)
    assert "no word of it" in story.why(a)
    story.lab.end(again.request.id, Result.SUCCESS)
    story.lab.settle()
    assert story.merged == [a]


def test_a_merge_that_cannot_be_tried_is_tried_again(story):
    story.lab.forge.away = "the server does not answer"
    (a,) = story.approve("a")
    assert "could not be merged for testing" in story.why(a)
    story.lab.forge.away = ""
    story.lab.pass_time(5)
    story.lab.settle()
    story.finish(a, "unit")
    assert story.merged == [a]


def test_a_merge_that_can_never_be_tried_is_reported_at_last(story):
    story.lab.forge.away = "the server does not answer"
    (a,) = story.approve("a")
    for _ in range(12):
        story.lab.pass_time(300)
        story.lab.settle()
    assert story.reported(a) == "COULD NOT BE TRIED"
    assert "the server does not answer" in story.why(a)


def test_the_clock_may_jump_back(story):
    story.lab.forge.away = "the server does not answer"
    (a,) = story.approve("a")
    story.lab.forge.away = ""
    story.lab.now -= 100_000
    story.lab.feed(Tick())
    story.lab.settle()
    assert story.running(a) == []
    story.lab.pass_time(30)
    story.lab.settle()
    story.finish(a, "unit")
    assert story.merged == [a]
    assert story.item(a).left_at == story.lab.now


def test_a_timer_set_before_the_clock_jumped_back_is_the_same_after_a_restart(story):
    story.lab.forge.away = "the server does not answer"
    story.approve("a")
    story.lab.now -= 100_000
    story.lab.feed(Tick())
    due = story.lab.gate.next_due()
    story.lab.restart(from_journal=True)
    assert story.lab.gate.next_due() == due
    assert story.lab.now < due < story.lab.now + 30


def test_an_operator_takes_a_change_out(story):
    a, b = story.approve("a", "b")
    story.lab.feed(Dequeue(a, None, "an operator", "request-1"))
    story.lab.settle()
    assert story.reported(a) == "DEQUEUED"
    story.finish_all()
    assert story.merged == [b]


def test_a_new_patch_set_approved_while_the_old_one_is_being_merged_is_not_forgotten(story):
    (a,) = story.approve("a")
    forge = story.lab.forge
    forge.merging = False  # the answer to the merge is late
    story.finish(a, "unit")
    assert story.lab.gate.state.items
    story.push("a", {"a.txt": "better"})
    story.approve("a")
    forge.merging = True
    story.lab.pass_time(5)
    story.lab.settle()
    story.finish_all()
    assert story.merged == [a]
    assert story.files()["a.txt"] == "better"
    assert "not merged" not in story.verdicts(a)


def test_a_new_patch_set_approved_while_the_old_one_lands_enters_after_it(story):
    (a,) = story.approve("a")
    story.lab.forge.merging = False  # it does merge; the answer to it is late
    story.finish(a, "unit")
    (item,) = [one for one in story.lab.gate.state.items.values() if one.pipeline == "gate"]
    old = item.build_sets[0].own
    story.push("a", {"more.txt": "better"})
    story.approve("a")
    story.lab.forge.branches["app", "main"] = old.commit
    story.lab.forge.merging = True
    story.lab.feed(SubmitDone(item.chosen, Merged(old.commit, old.tree)))
    story.lab.settle()
    assert story.running(a) == ["unit"]
    story.finish(a, "unit")
    assert story.files()["more.txt"] == "better"


def test_a_change_abandoned_while_its_merge_cannot_be_tried_is_not_reported_as_not_merged(story):
    (a,) = story.approve("a")
    story.lab.forge.merging = False
    story.finish(a, "unit")
    story.abandon(a)
    for _ in range(12):
        story.lab.pass_time(300)
        story.lab.settle()
    assert story.item(a).reason == "the change was abandoned"
    assert story.verdicts(a) == ["success"]


def test_changes_that_depend_on_each_other_wait_and_say_so(story):
    a = story.push("a")
    b = story.push("b", depends_on=[a])
    story.lab.forge.submissions[a].change = replace(story.lab.forge.submissions[a].change, depends_on=(b,))
    story.approve("a", "b")
    story.finish_all()
    assert story.merged == []
    assert "which has to merge first" in story.why(a)


def test_a_change_that_waits_at_the_door_and_loses_its_approval_waits_no_longer(story):
    a = story.push("a")
    (b,) = story.approve(story.push("b", depends_on=[a]))
    story.unapprove(b)
    assert story.lab.gate.state.held == {}
    story.approve("a")
    story.finish_all()
    assert story.merged == [a]
    assert story.running(b) == []


def test_what_was_tested_on_a_change_that_lands_is_not_tested_again_though_another_waits_between(story):
    a, d = story.push("a"), story.push("d")
    b = story.push("b", depends_on=[d])
    story.approve("a", "d", "b", "c")
    (c,) = [change for change in story.lab.forge.submissions if change.endswith("/c")]
    story.finish(d, "unit", "FAILURE")  # b cannot be tested without it, c is tested on a alone
    assert (story.running(b), story.built_on(c)) == ([], (a,))
    before = [held.request.id for held in story.lab.running() if held.request.change == c]
    story.finish(a, "unit")
    assert story.reported(b) == "DEQUEUED"
    assert [held.request.id for held in story.lab.running() if held.request.change == c] == before
