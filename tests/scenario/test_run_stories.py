"""Gating stories of changes that are merged in one go: what passed on top of a change that is being merged does not wait for the answer."""

from __future__ import annotations

import pytest

from torii.model.command import Submit
from torii.model.event import Event, Refused, SubmitDone, SubmitUnavailable
from torii.model.ids import ChangeId
from torii.testing.story import PureStory

YML = "jobs: {unit: {run: make}}\npipelines: {check: [unit], gate: [unit]}\n"


class SlowServer(PureStory):
    """A story whose git server answers a submit only when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self._perform = self.lab.forge.submit
        self.asked: list[Submit] = []
        self.lab.forge.submit = self._hold  # type: ignore[method-assign]

    def _hold(self, submit: Submit) -> list[Event]:
        self.asked.append(submit)
        return []

    @property
    def waiting(self) -> list[ChangeId]:
        """The changes whose merge is asked for, in the order of asking."""
        return [submit.change.id for submit in self.asked]

    @property
    def queued(self) -> list[ChangeId]:
        """The changes in the gate."""
        return [item.subject.id for item in self.lab.gate.state.items.values() if item.pipeline == "gate"]

    def answer(self, change: ChangeId, outcome: Refused | SubmitUnavailable | None = None) -> None:
        """Carry out the oldest submit of `change`, or answer it with `outcome`."""
        submit = next(submit for submit in self.asked if submit.change.id == change)
        self.asked.remove(submit)
        for event in [SubmitDone(submit.build_set, outcome)] if outcome is not None else self._perform(submit):
            self._tell(event)

    def pass_all(self, *changes: ChangeId) -> None:
        """Have the builds of `changes` pass, those of the last first."""
        for change in reversed(changes):
            self.finish(change, "unit")


@pytest.fixture
def story() -> SlowServer:
    return SlowServer()


def test_changes_that_are_ready_are_all_asked_for_at_once_in_order(story):
    a, b, c, d = story.approve("a", "b", "c", "d")
    story.pass_all(a, b, c)
    assert story.waiting == [a, b, c]
    story.finish(d, "unit")
    assert story.waiting == [a, b, c, d]
    for change in (a, b, c, d):
        story.answer(change)
    assert story.merged == [a, b, c, d]
    assert [story.verdicts(change) for change in (a, b, c, d)] == [["success"]] * 4


def test_a_change_that_is_not_ready_holds_those_behind_it(story):
    a, b, c = story.approve("a", "b", "c")
    story.pass_all(a, c)
    assert story.waiting == [a]
    story.answer(a)
    story.finish(b, "unit")
    assert story.waiting == [b, c]


def test_what_follows_a_change_that_is_refused_is_tested_again_without_it(story):
    a, b, c = story.approve("a", "b", "c")
    story.pass_all(a, b, c)
    story.answer(a, Refused("the server refused the push"))
    story.answer(b)
    story.answer(c)
    assert story.merged == []
    assert story.built_on(b) == ()
    assert story.built_on(c) == (b,)
    assert f"because {a}, which it was tested on top of, was not merged" in " ".join(
        made.text for made in story.lab.decisions if made.change == b
    )
    story.pass_all(b, c)
    story.answer(b)
    story.answer(c)
    assert story.merged == [b, c]
    assert story.verdicts(a)[-1] == "not merged"


def test_what_depends_on_a_change_that_is_refused_leaves_with_it(story):
    a = story.push("a")
    b = story.push("b", depends_on=[a])
    story.approve("a", "b")
    story.pass_all(a, b)
    assert story.waiting == [a, b]
    story.answer(a, Refused("the server refused the push"))
    story.answer(b)
    assert story.merged == []
    assert story.queued == []
    assert f"depends on {a}, which left" in story.why(b)


def test_an_outage_sends_nobody_away_and_loses_no_build(story):
    a, b, c = story.approve("a", "b", "c")
    story.pass_all(a, b, c)
    builds = len(story.lab.builds)
    for _ in range(4):
        for change in (a, b, c):
            story.answer(change, SubmitUnavailable("the git server does not answer"))
        assert story.waiting == []
        assert f"waits for {b}" in story.why(c)
        story.lab.pass_time(100.0)
        assert story.waiting == [a, b, c]
    for change in (a, b, c):
        story.answer(change)
    assert story.merged == [a, b, c]
    assert len(story.lab.builds) == builds


def test_nothing_follows_a_change_that_could_not_be_merged_yet(story):
    a, b = story.approve("a", "b")
    story.finish(a, "unit")
    story.answer(a, SubmitUnavailable("the git server does not answer"))
    story.finish(b, "unit")
    assert story.waiting == []
    story.lab.pass_time(100.0)
    story.answer(a)
    story.answer(b)
    assert story.merged == [a, b]


def test_what_has_landed_holds_what_was_asked_for_before_it(story):
    a, b, c = story.approve("a", "b", "c")
    story.pass_all(a, b, c)
    answers = [story._perform(submit)[0] for submit in story.asked]
    for answer in reversed(answers):
        story._tell(answer)
    assert story.queued == []
    assert [story.item(change).outcome for change in (a, b, c)] == ["merged"] * 3


def test_killed_with_all_of_them_landed_it_merges_none_twice_and_tests_nothing_again(story):
    a, b, c, d = story.approve("a", "b", "c", "d")
    story.pass_all(a, b, c)
    for submit in story.asked:
        story._perform(submit)
    builds = len(story.lab.builds)
    story.asked.clear()
    story.restart()
    assert story.waiting == [a, b, c]
    for change in (a, b, c):
        story.answer(change)
    story.finish(d, "unit")
    story.answer(d)
    assert story.merged == [a, b, c, d]
    assert len(story.lab.builds) == builds


def test_changes_of_another_branch_wait_for_their_turn(story):
    story._tell(story.lab.forge.create_branch(story.project, "stable", {"torii.yml": "queue: one\n" + YML}))
    story._tell(story.lab.forge.push_branch(story.project, "main", {"torii.yml": "queue: one\n" + YML}))
    a = story.push("a")
    b = story.push("b", branch="stable")
    story.approve("a", "b")
    assert story.built_on(b) == (a,)
    story.pass_all(a, b)
    assert story.waiting == [a]
    story.answer(a)
    assert story.waiting == [b]
