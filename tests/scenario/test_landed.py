"""After a merge, the tree that landed is compared with the tested one (invariant 1 of the design), whatever commit holds it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from torii.gate.state import tip_key
from torii.model.command import Merge, Submit
from torii.model.event import BranchMoved, Merged, SubmitDone
from torii.model.ids import ChangeId, ProjectName
from torii.model.pipeline import ProjectSpec
from torii.testing.forge import tree_id
from torii.testing.story import PureStory


def test_where_another_tree_landed_than_was_tested_all_behind_is_tested_anew_and_the_reason_says_so():
    story = PureStory()
    a, b = story.approve("a", "b")
    forge = story.lab.forge
    forge.merging = False  # the merge is made; its answer tells what the branch has become
    story.finish(a, "unit")
    (item,) = (item for item in story.lab.gate.state.items.values() if item.subject.id == a and item.pipeline == "gate")
    tested = item.build_sets[0].own
    before = {held.request.id for held in story.lab.running()}

    story.lab.feed(forge.push_branch("app", "main", {"a.txt": forge.commits[tested.commit]["a.txt"], "hotfix": "at the same time"}))
    tip = forge.branches["app", "main"]
    forge.merging = True
    story.lab.feed(SubmitDone(item.chosen, Merged(tip, tree_id(forge.commits[tip]))))
    story.lab.settle()

    assert f"but tree {tree_id(forge.commits[tip])[:12]} landed and {tested.tree[:12]} was tested" in story.why(a)
    assert story.built_on(b) == ()
    (held,) = (held for held in story.lab.running() if held.request.id not in before)
    assert held.request.commit in forge.commits
    assert "hotfix" in forge.commits[held.request.commit]


# -- a server that merges by itself: what lands is a commit of its own, with the tested tree


@pytest.fixture(params=["answer first", "news first"])
def gerrit(request) -> PureStory:
    story = PureStory()
    story.lab.forge.twins = True
    story.lab.forge.news_first = request.param == "news first"
    return story


def builds(story: PureStory, change: ChangeId) -> int:
    return len([held for held in story.lab.builds.values() if (held.request.change, held.request.pipeline) == (change, "gate")])


def submits(story: PureStory) -> list[Submit]:
    """Return the list of merges that are asked for from now on."""
    asked: list[Submit] = []
    perform = story.lab.forge.submit

    def submit(one: Submit):
        asked.append(one)
        return perform(one)

    story.lab.forge.submit = submit
    return asked


def test_changes_that_land_as_other_commits_are_tested_once_each(gerrit):
    a, b, c = gerrit.approve("a", "b", "c")
    for change in (a, b, c):
        gerrit.finish(change, "unit")
    assert gerrit.merged == [a, b, c]
    assert [builds(gerrit, change) for change in (a, b, c)] == [1, 1, 1]
    assert "past the gate" not in gerrit.why(b) + gerrit.why(c)


def test_changes_that_are_ready_together_land_in_one_go(gerrit):
    a, b, c, d = gerrit.approve("a", "b", "c", "d")
    asked = submits(gerrit)
    for change in (c, b, a):
        gerrit.finish(change, "unit")
    assert gerrit.merged == [a, b, c]
    assert [one.onto_tree for one in asked] == [None, asked[0].tree, asked[1].tree]
    assert asked[1].onto == asked[0].commit
    gerrit.finish(d, "unit")
    assert gerrit.merged == [a, b, c, d]
    assert asked[3].onto_tree == asked[2].tree
    assert [builds(gerrit, change) for change in (a, b, c, d)] == [1, 1, 1, 1]


def test_a_push_past_the_gate_between_two_that_land_tests_the_rest_again(gerrit):
    a, b, c = gerrit.approve("a", "b", "c")
    gerrit.finish(a, "unit")
    gerrit.push_past_the_gate({"hotfix": "1"})
    assert "main moved past the gate" in gerrit.why(b)
    gerrit.finish_all()
    assert gerrit.merged == [a, b, c]
    assert [builds(gerrit, change) for change in (a, b, c)] == [1, 2, 2]
    assert gerrit.files()["hotfix"] == "1"


def test_a_push_past_the_gate_that_nobody_told_of_is_found_by_the_tree(gerrit):
    a, b = gerrit.approve("a", "b")
    gerrit.finish(a, "unit")
    gerrit.lab.forge.push_branch(gerrit.project, "main", {"hotfix": "1"})
    gerrit.finish(b, "unit")
    assert gerrit.merged == [a]
    gerrit.finish(b, "unit")
    assert gerrit.merged == [a, b]


def test_a_push_right_after_the_merge_that_is_heard_of_first_tests_the_rest_again(gerrit):
    a, b = gerrit.approve("a", "b")
    forge, lab = gerrit.lab.forge, gerrit.lab
    perform, late = forge.submit, []

    def submit(one: Submit):
        answers = [*perform(one), forge.push_branch(gerrit.project, "main", {"hotfix": "1"})]
        late.extend(answer for answer in answers if isinstance(answer, SubmitDone))
        return [answer for answer in answers if not isinstance(answer, SubmitDone)]

    forge.submit = submit
    gerrit.finish(a, "unit")
    forge.submit = perform
    lab.feed(late[0])
    lab.settle()
    assert lab.gate.state.tips[tip_key(gerrit.project, "main")].commit == forge.branches["app", "main"]
    gerrit.finish_all()
    assert gerrit.merged == [a, b]
    assert builds(gerrit, b) == 2


def test_what_has_landed_as_another_commit_still_stands_for_it_after_a_restart(gerrit):
    a, b, c = gerrit.approve("a", "b", "c")
    gerrit.finish(a, "unit")
    gerrit.restart()
    asked = submits(gerrit)
    gerrit.finish(b, "unit")
    assert asked[0].onto_tree is not None
    gerrit.lab.restart(from_journal=True)
    gerrit.finish_all()
    assert gerrit.merged == [a, b, c]
    assert [builds(gerrit, change) for change in (a, b, c)] == [1, 1, 1]


def test_killed_with_all_of_them_landed_nothing_is_tested_again(gerrit):
    a, b, c = gerrit.approve("a", "b", "c")
    gerrit.finish(b, "unit")
    gerrit.finish(a, "unit", crash_after="submit")
    gerrit.restart()
    gerrit.finish_all()
    assert gerrit.merged == [a, b, c]
    assert [builds(gerrit, change) for change in (a, b, c)] == [1, 1, 1]


def test_one_submit_that_lands_all_that_were_asked_for_is_understood(gerrit):
    """Gerrit merges a whole topic with its first change: the branch then has the tree of the last."""
    a, b, c = gerrit.approve("a", "b", "c")
    forge = gerrit.lab.forge
    perform, asked = forge.submit, []
    forge.submit = lambda one: asked.append(one) or []
    gerrit.finish(b, "unit")
    gerrit.finish(a, "unit")
    first, second = asked
    landed = [event for one in asked for event in perform(one)]
    last = [event for event in landed if isinstance(event, SubmitDone)][-1].outcome
    for one in (first, second):
        gerrit.lab.feed(SubmitDone(one.build_set, last))
    first_move, last_move = (event for event in landed if isinstance(event, BranchMoved))
    gerrit.lab.feed(replace(last_move, old=first_move.old))  # the branch moved once
    gerrit.lab.settle()
    forge.submit = perform
    assert [gerrit.item(change).outcome for change in (a, b)] == ["merged", "merged"]
    gerrit.finish(c, "unit")
    assert gerrit.merged == [a, b, c]
    assert builds(gerrit, c) == 1


def test_nothing_is_asked_to_stand_on_a_commit_that_never_landed(gerrit):
    """Its staging ref is gone with it, so that a merger elsewhere could not have it."""
    lib, both = ProjectName("lib"), "queue: both\njobs: {unit: {run: make}}\npipelines: {gate: [unit]}\n"
    lab, forge = gerrit.lab, gerrit.lab.forge
    lab.config = replace(lab.config, projects=(*lab.config.projects, ProjectSpec(lib)))
    gerrit.restart()
    lab.feed(forge.create_branch(lib, "main", {"torii.yml": both}))
    gerrit.push_past_the_gate({"torii.yml": both})
    (a,) = gerrit.approve("a")
    other = ChangeId("lib:main/x")
    lab.feed(forge.push_change(other, lib, "main", {"x": "1"}))
    lab.feed(forge.approve(other))
    lab.settle()
    gerrit.finish(a, "unit")
    asked: list[Merge] = []
    lab.watch = lambda command: asked.append(command) if isinstance(command, Merge) and command.pipeline == "gate" else None
    (c,) = gerrit.approve("c")
    (merge,) = asked
    assert {base.commit for base in merge.base if base.project == "app"} == {forge.branches["app", "main"]}
    gerrit.finish(other, "unit")
    gerrit.finish(c, "unit")
    assert gerrit.merged == [a, other, c]
    assert builds(gerrit, c) == 1
