"""Stories about changes that merge together, as a review server does with a whole topic: all of them or none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from torii.gate.strategy import STRATEGIES
from torii.model.change import ChangeStatus
from torii.model.command import Command, Report, Submit
from torii.model.event import Event, Moved, Refused, SubmitDone, SubmitUnavailable
from torii.model.ids import ChangeId, ProjectName
from torii.model.pipeline import Cause, Manager, ProjectSpec, Window
from torii.testing.story import PureStory, story_config

LIB = ProjectName("lib")
ONE_QUEUE = "queue: one\njobs: {unit: {run: make}}\npipelines: {check: [unit], gate: [unit]}\n"


@pytest.fixture
def story() -> PureStory:
    return PureStory()


@pytest.fixture
def three(story) -> tuple[ChangeId, ...]:
    """Three changes that merge together, none of them approved."""
    changes = tuple(story.push(name) for name in ("a", "b", "c"))
    story.put_together(*changes)
    return changes


@pytest.fixture
def commands(story) -> list[Command]:
    """The reports and submits that are performed, in order."""
    seen: list[Command] = []
    story.lab.watch = lambda command: seen.append(command) if isinstance(command, (Report, Submit)) else None
    return seen


def two_projects(yml: str = ONE_QUEUE) -> PureStory:
    story = PureStory(yml, config=story_config((ProjectSpec(ProjectName("app")), ProjectSpec(LIB))))
    story._tell(story.lab.forge.create_branch(LIB, "main", {"torii.yml": yml}))
    return story


def push_lib(story: PureStory, name: str) -> ChangeId:
    change = ChangeId(f"lib:main/{name}")
    story._tell(story.lab.forge.push_change(change, LIB, "main", {f"{name}.txt": name}))
    return change


def hold_submits(story: PureStory) -> list[Submit]:
    """Have no submit answered from now on; return the list of those that come in."""
    asked: list[Submit] = []

    def submit(one: Submit) -> list[Event]:
        asked.append(one)
        return []

    story.lab.forge.submit = submit
    return asked


def answer(story: PureStory, submit: Submit, outcome) -> None:
    story._tell(SubmitDone(submit.build_set, outcome))


def test_they_wait_for_each_other_at_the_door_and_enter_together_in_their_order(story, three):
    a, b, c = three
    story.approve(c, a)
    assert story.running(a) == story.running(c) == []
    assert f"waits at the door of gate: merges together with {b}, which may not enter yet: it is not approved" in story.why(a)
    story.approve(b)
    assert story.built_on(c) == (a, b)
    assert f"taken into gate: approved; merges together: {a}, {b} and {c}" in story.why(a)


def test_none_is_reported_before_all_have_passed_and_then_all_are_merged_in_one_go(story, three, commands):
    a, b, c = three
    story.approve(*three)
    story.finish(a, "unit")
    story.finish(c, "unit")
    assert story.merged == []
    assert [one for one in commands if isinstance(one, Report) and one.pipeline == "gate"] == []
    assert f"passed; waits for {b}, which merges together with it" in story.why(a)
    story.finish(b, "unit")
    gate = [one for one in commands if isinstance(one, Submit) or one.pipeline == "gate"]
    assert [type(one) for one in gate] == [Report] * 3 + [Submit] * 3
    assert [one.change.id for one in gate if isinstance(one, Submit)] == [a, b, c]
    assert story.merged == [a, b, c]


def test_if_one_fails_all_leave_and_are_told_which(story, three):
    a, b, c = three
    d = story.push("d")
    story.approve(*three, d)
    story.finish(b, "unit", "FAILURE")
    assert story.built_on(d) == ()
    assert story.running(c) == []  # it cannot merge with what fails
    story.finish(a, "unit")
    assert story.verdicts(b) == ["failure"]
    assert story.verdicts(a) == story.verdicts(c) == ["dequeued"]
    assert f"merges together with {b}, which left: unit failed on top of {a}" in story.why(a)
    story.finish_all()
    assert story.merged == [d]


def test_if_the_first_fails_the_others_leave(story, three):
    story.approve(*three)
    story.finish(three[0], "unit", "FAILURE")
    assert [story.reported(change) for change in three] == ["FAILURE", "DEQUEUED", "DEQUEUED"]
    story.finish_all()
    assert story.merged == []


def test_a_failure_on_top_of_one_ahead_that_fails_is_not_held_against_them(story, three):
    (d,) = story.approve("d")
    a, b, c = three
    story.approve(*three)
    story.finish(b, "unit", "FAILURE")
    story.finish(d, "unit", "FAILURE")
    assert story.built_on(c) == (a, b)
    story.finish_all()
    assert story.merged == [a, b, c]


@pytest.mark.parametrize("what", ["abandon", "unapprove", "push"])
def test_if_one_leaves_all_leave(story, three, what):
    a, b, c = three
    story.approve(*three)
    if what == "push":
        story.push("b", {"b.txt": "better"})
    else:
        getattr(story, what)(b)
    assert story.running(a) == story.running(b) == story.running(c) == []
    assert f"merges together with {b}, which left: " in story.why(a)
    assert f"merges together with {b}, which left: " in story.why(c)
    story.finish_all()
    assert story.merged == []


def test_they_come_back_together_with_a_new_patch_set_of_one(story, three):
    a, b, c = three
    story.approve(*three)
    story.push("b", {"b.txt": "better"})
    story.unapprove(b)
    assert story.running(a) == []
    story.approve(b)
    story.finish_all()
    assert story.merged == [a, b, c]
    assert story.files()["b.txt"] == "better"


def test_what_is_left_of_them_comes_back_without_one_that_was_abandoned(story, three):
    a, b, c = three
    story.approve(*three)
    story.abandon(b)
    assert f"waits at the door of gate: merges together with {b}, which left: the change was abandoned" in story.why(a)
    for change in (a, c):
        story.alter(change, Cause.UPDATED)  # the source sees that they merge without it now
    assert story.built_on(c) == (a,)
    story.finish_all()
    assert story.merged == [a, c]


def test_a_change_that_joins_them_takes_them_out_until_it_is_ready_too(story, three):
    a, b, c = three
    story.approve(*three)
    d = story.push("d")
    story.put_together(a, b, c, d)
    assert story.running(a) == []
    assert story.verdicts(a) == []
    assert f"waits at the door of gate: merges together with {d}, which may not enter yet: it is not approved" in story.why(a)
    story.approve(d)
    story.finish_all()
    assert story.merged == [a, b, c, d]


def test_a_change_that_leaves_the_topic_merges_alone(story, three):
    a, b, c = three
    story.approve(*three)
    story.put_together(b)
    assert "merges alone now" in story.why(b)
    assert story.built_on(c)[-1] == a
    story.finish(b, "unit", "FAILURE")
    story.finish_all()
    assert story.merged == [a, c]


def test_what_depends_on_one_of_them_waits_for_it_and_is_no_part_of_them(story, three):
    a, b, c = three
    d = story.push("d", depends_on=[b])
    story.approve(a, b, d)
    assert story.running(d) == []
    story.approve(c)
    assert story.built_on(d) == (a, b, c)
    story.finish(b, "unit", "FAILURE")
    story.finish(a, "unit")
    assert story.reported(d) == "DEQUEUED"


def test_what_they_depend_on_goes_before_all_of_them(story):
    base = story.push("base")
    a, b = story.push("a"), story.push("b", depends_on=[base])
    story.put_together(a, b)
    story.approve(a, b)
    assert f"depends on {base}, which has to merge first" in story.why(b)
    story.approve(base)
    assert story.built_on(b) == (base, a)
    story.finish_all()
    assert story.merged == [base, a, b]


def test_one_that_depends_on_a_later_one_waits_and_says_so(story):
    b = story.push("b")
    a = story.push("a", depends_on=[b])
    story.put_together(a, b)
    story.approve(a, b)
    assert f"{a} depends on {b}, which would merge together with it but after it" in story.why(a)
    story.put_together(b, a)
    story.approve(b)
    story.finish_all()
    assert story.merged == [b, a]


def test_changes_of_two_projects_merge_together_in_the_queue_they_share():
    story = two_projects()
    a, x, b = story.push("a"), push_lib(story, "x"), story.push("b")
    story.put_together(a, x, b)
    story.approve(a, x, b)
    assert story.built_on(b) == (a, x)
    asked = hold_submits(story)
    perform = type(story.lab.forge).submit
    for change in (b, x, a):
        story.finish(change, "unit")
    assert [one.change.id for one in asked] == [a, x, b]
    assert (asked[2].onto, asked[2].onto_tree) == (asked[0].commit, asked[0].tree)
    for one in asked:
        for event in perform(story.lab.forge, one):
            story._tell(event)
    assert story.merged == [a, x, b]


def test_changes_of_two_queues_wait_at_the_door_and_say_why():
    story = two_projects(ONE_QUEUE.replace("queue: one\n", ""))
    a, x = story.push("a"), push_lib(story, "x")
    story.put_together(a, x)
    story.approve(a, x)
    assert story.running(a) == story.running(x) == []
    assert f"merges together with {x}, which is gated in queue lib main, not in app main" in story.why(a)


def test_one_that_is_not_known_here_holds_the_others(story):
    a, b = story.push("a"), story.push("b")
    story.lab.forge.put_together(a, b)
    story.alter(a, Cause.APPROVED, approved=True, title="a")
    assert f"merges together with {b}, which is not known to merge with just these" in story.why(a)


@pytest.mark.parametrize("manager", [Manager.SERIAL, Manager.DEPENDENT])
def test_a_window_that_is_smaller_than_they_are_does_not_part_them(manager):
    config = story_config()
    narrow = [replace(spec, manager=manager, window=Window(1, 1, 1)) if spec.name == "gate" else spec for spec in config.pipelines]
    story = PureStory(config=replace(config, pipelines=tuple(narrow)))
    a, b, c = (story.push(name) for name in ("a", "b", "c"))
    (d,) = story.approve("d")
    story.put_together(a, b, c)
    story.approve(a, b, c)
    assert story.running(a) == []
    story.finish(d, "unit")
    assert story.built_on(c) == (a, b)
    story.finish_all()
    assert story.merged == [d, a, b, c]


def test_a_strategy_that_takes_one_at_a_time_does_not_stop_them(monkeypatch, story, three):
    class Timid:
        def plan(self, line, tree) -> None:
            for item in line[:1]:
                tree.on(item, tree.root)

    monkeypatch.setitem(STRATEGIES, "linear", Timid())
    story.approve(*three)
    story.finish_all()
    assert story.merged == list(three)


def test_they_follow_one_that_is_just_being_merged_as_soon_as_all_have_passed(story, three):
    a, b, c = three
    (d,) = story.approve("d")
    story.approve(*three)
    asked = hold_submits(story)
    for change in (d, a, c):
        story.finish(change, "unit")
    assert [one.change.id for one in asked] == [d]
    story.finish(b, "unit")
    assert [one.change.id for one in asked] == [d, a, b, c]


def test_a_restart_in_between_loses_none_of_them(story, three):
    story.approve(*three)
    story.finish(three[1], "unit")
    story.restart()
    story.lab.restart(from_journal=True)
    story.finish_all()
    assert story.merged == list(three)


def test_a_pipeline_that_merges_nothing_does_not_care():
    story = PureStory()
    a, b = story.push("a"), story.push("b")
    story.put_together(a, b)
    story.finish(a, "unit", "FAILURE", pipeline="check")
    story.finish_all()
    assert (story.reported(a, "check"), story.reported(b, "check")) == ("FAILURE", "SUCCESS")


# -- what may become of their merges


def test_a_merge_of_one_that_is_refused_takes_all_out(story, three):
    story.approve(*three)
    asked = hold_submits(story)
    for change in three:
        story.finish(change, "unit")
    for one in asked[:]:
        answer(story, one, Refused("the branch is closed"))
    assert [story.verdicts(change) for change in three] == [["success", "not merged"], ["success", "dequeued"], ["success", "dequeued"]]
    assert "gate" not in {item.pipeline for item in story.lab.gate.state.items.values()}


def test_a_branch_that_moved_sends_all_back_to_be_tested_again(story, three):
    """A server that merges all or none answers for the others that they cannot be merged yet."""
    a, b, c = three
    story.approve(*three)
    asked = hold_submits(story)
    for change in three:
        story.finish(change, "unit")
    story.lab.forge.push_branch(story.project, "main", {"hotfix": "1"})
    tip = story.lab.forge.branches["app", "main"]
    answer(story, asked[0], SubmitUnavailable("another must be tested again"))
    answer(story, asked[1], Moved(tip))
    answer(story, asked[2], SubmitUnavailable("another must be tested again"))
    assert not [name for name in story.lab.gate.state.timers if name.startswith("submit")]
    assert story.running(b) == ["unit"]
    del story.lab.forge.submit
    story.finish_all()
    assert story.merged == [a, b, c]
    assert story.files()["hotfix"] == "1"


def test_one_whose_own_branch_did_not_move_is_not_reported_again():
    story = two_projects()
    a, x = story.push("a"), push_lib(story, "x")
    story.put_together(a, x)
    story.approve(a, x)
    asked = hold_submits(story)
    story.finish(a, "unit")
    story.finish(x, "unit")
    told: list[str] = []
    story.lab.watch = lambda command: told.append(command.key) if isinstance(command, Report) and command.pipeline == "gate" else None
    story.lab.forge.push_branch(LIB, "main", {"hotfix": "1"})
    answer(story, asked[0], SubmitUnavailable("another must be tested again"))
    answer(story, asked[1], Moved(story.lab.forge.branches[LIB, "main"]))
    assert (story.running(a), story.running(x)) == ([], ["unit"])
    assert f"passed; waits for {x}, which merges together with it" in story.why(a)
    del story.lab.forge.submit
    story.finish(x, "unit")
    assert story.merged == [a, x]
    assert [key.rpartition(":")[2] for key in told] == ["success"]


def test_an_outage_sends_none_of_them_away(story, three):
    story.approve(*three)
    story.lab.forge.merging = False
    for change in three:
        story.finish(change, "unit")
    for _ in range(4):
        story.lab.pass_time(100)
        story.lab.settle()
    story.lab.forge.merging = True
    story.lab.pass_time(300)
    story.lab.settle()
    assert story.merged == list(three)
    assert [story.verdicts(change) for change in three] == [["success"]] * 3


def test_what_somebody_merges_by_hand_is_no_reason_for_the_others_to_leave(story, three):
    a, b, c = three
    story.approve(*three)
    story.push_past_the_gate({"a.txt": "a 0"})
    story.alter(a, Cause.MERGED, status=ChangeStatus.MERGED)
    assert story.built_on(c) == (b,)
    story.finish_all()
    assert story.merged == [b, c]
