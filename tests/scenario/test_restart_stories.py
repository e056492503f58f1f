"""Stories of a Torii that is killed and started again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from torii.model.build import Result
from torii.model.pipeline import Manager
from torii.testing.lab import replayed
from torii.testing.story import PureStory


@pytest.fixture
def story() -> PureStory:
    return PureStory()


def test_a_build_whose_stop_died_with_torii_is_stopped_after_the_restart(story):
    (a,) = story.approve("a")
    (held,) = [one for one in story.lab.running() if one.request.pipeline == "gate"]
    story.lab.gate.step(story.lab.forge.unapprove(a), story.lab.now)  # journalled, and killed before anything followed from it
    story.restart()
    assert held.result is Result.CANCELED
    assert story.lab.gate.state.stopping == {}


def test_asking_again_after_a_restart_changes_nothing_that_the_journal_does_not_tell(story):
    a = story.push("a")
    story.lab.feed(story.lab.forge.approve(a))  # it is being merged
    story.lab.feed(story.lab.forge.push_branch(story.project, "main", {"hotfix": "1"}))
    story.lab.restart()
    assert replayed(story.lab.journal).state == story.lab.gate.state


def test_only_the_newest_patch_set_enters_a_pipeline_that_was_configured_anew(story):
    (a,) = story.approve("a")
    story.lab.forge.merging = False
    story.finish(a, "unit")
    story.push("a", {"more.txt": "better"})
    story.approve("a")
    specs = [replace(one, manager=Manager.SERIAL) if one.name == "gate" else one for one in story.lab.config.pipelines]
    story.lab.config = replace(story.lab.config, pipelines=tuple(specs))
    story.lab.restart()
    assert [item.subject.patchset for item in story.lab.gate.state.items.values() if item.pipeline == "gate"] == ["2"]


def test_a_restart_goes_on_where_it_was(story):
    a, b, c = story.approve("a", "b", "c")
    story.finish(b, "unit")
    builds = set(story.lab.builds)
    story.restart()
    assert set(story.lab.builds) == builds
    story.finish_all()
    assert story.merged == [a, b, c]
    assert story.votes(b) == ["+1"]


def test_a_restart_from_the_journal_alone_goes_on_where_it_was(story):
    a, b, c = story.approve("a", "b", "c")
    story.finish(b, "unit", "FAILURE")
    story.lab.restart(from_journal=True)
    story.finish_all()
    assert story.merged == [a, c]


def test_a_build_that_ended_while_torii_was_down_is_adopted(story):
    (a,) = story.approve("a")
    (held,) = [one for one in story.lab.running() if one.request.pipeline == "gate"]
    story.lab.end(held.request.id, Result.SUCCESS)  # and the answer is lost
    story.restart()
    assert story.merged == [a]
    assert held.starts == 1


def test_a_build_that_ended_while_torii_was_down_for_long_is_adopted_and_not_taken_for_lost(story):
    (a,) = story.approve("a")
    (held,) = [one for one in story.lab.running() if one.request.pipeline == "gate"]
    story.lab.end(held.request.id, Result.SUCCESS)  # and nobody is there to hear of it
    story.lab.now += 100_000
    story.restart()
    assert story.merged == [a]
    assert "lost" not in story.why(a)


def test_a_build_of_which_nothing_is_heard_after_a_restart_either_is_taken_for_lost(story):
    (a,) = story.approve("a")
    story.lab.now += 100_000
    story.restart()
    assert "lost" not in story.why(a)
    story.lab.pass_time(300)
    assert "unit was lost and runs again" in story.why(a)


def test_a_build_that_nobody_could_run_before_a_restart_may_just_be_waiting_for_its_turn_after_it():
    story = PureStory(unregistered_limit=60.0)
    story.lab.unregistered.add("unit")
    (a,) = story.approve("a")
    story.lab.unregistered.clear()  # a worker came while Torii was down, and has other things to do first
    story.lab.now += 100_000
    story.restart()
    story.lab.pass_time(60)
    story.lab.settle()
    assert story.reported(a) == ""


def test_a_build_that_nobody_can_run_after_a_restart_either_is_reported():
    story = PureStory(unregistered_limit=60.0)
    story.lab.unregistered.add("unit")
    (a,) = story.approve("a")
    story.restart()
    story.lab.pass_time(60)
    story.lab.settle()
    assert story.reported(a) == "FAILURE"
