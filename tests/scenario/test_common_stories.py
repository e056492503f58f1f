"""Gating stories told twice, in the same words: to the pure gate between fakes, and to git, Gearman, merger and worker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from torii.testing.real import RealStory
from torii.testing.story import PureStory, Story


@pytest.fixture(params=["pure", "real"])
def story(request, tmp_path) -> Iterator[Story]:
    if request.param == "pure":
        yield PureStory()
        return
    real = RealStory(tmp_path / "real")
    try:
        yield real
    finally:
        real.close()


def test_what_stands_behind_a_failure_is_built_again_without_it(story):
    a, b, c = story.approve("a", "b", "c")
    assert story.built_on(c) == (a, b)

    story.finish(b, "unit", "FAILURE")
    assert story.built_on(c) == (a,)
    assert f"{b} is failing: unit failed on top of {a}" in story.why(c)

    story.finish_all("SUCCESS")
    assert story.merged == [a, c]
    assert story.reported(b) == "FAILURE"


def test_a_failure_on_top_of_a_change_that_then_fails_is_not_held_against_it(story):
    a, b = story.approve("a", "b")
    story.finish(b, "unit", "FAILURE")
    story.finish(a, "unit", "FAILURE")
    story.finish(b, "unit", "SUCCESS")
    assert story.merged == [b]


def test_killed_between_the_vote_and_the_merge_it_merges_once(story):
    (a,) = story.approve("a")
    story.finish(a, "unit", "SUCCESS", crash_after="report")
    story.restart()
    assert story.merged == [a]
    assert story.votes(a) == ["+1"]


def test_killed_right_after_the_merge_it_merges_once(story):
    (a,) = story.approve("a")
    story.finish(a, "unit", "SUCCESS", crash_after="submit")
    story.restart()
    assert story.merged == [a]
    assert story.votes(a) == ["+1"]


def test_a_conflict_with_a_change_ahead_waits_for_that_change(story):
    a = story.push("a", {"same.txt": "a"})
    b = story.push("b", {"same.txt": "b"})
    c = story.push("c")
    story.approve("a", "b", "c")
    assert story.running(b) == []
    assert story.built_on(c) == (a,)
    assert f"merge conflict with {a} in same.txt" in story.why(b)
    story.finish_all()
    assert story.merged == [a, c]
    assert story.reported(b) == "MERGE CONFLICT"


def test_a_new_patch_set_takes_the_old_one_out(story):
    a, b = story.approve("a", "b")
    story.push("a", {"a.txt": "better"})
    assert story.running(a) == []
    assert story.built_on(b) == ()
    story.finish_all()
    assert story.merged == [b]


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


def test_a_change_never_merges_without_what_it_depends_on(story):
    a = story.push("a")
    b = story.push("b", depends_on=[a])
    story.approve("b")
    assert story.running(b) == []
    assert f"depends on {a}, which has to merge first" in story.why(b)
    story.approve("a")
    assert story.built_on(b) == (a,)
    story.finish_all()
    assert story.merged == [a, b]


def test_a_restart_goes_on_where_it_was(story):
    a, b, c = story.approve("a", "b", "c")
    story.finish(b, "unit")
    story.restart()
    story.finish_all()
    assert story.merged == [a, b, c]
    assert story.votes(b) == ["+1"]
