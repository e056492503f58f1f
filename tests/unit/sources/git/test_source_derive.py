"""What happened, told by two states of a repository."""

from __future__ import annotations

from tests.support.git_world import World, world
from torii.model.change import ChangeStatus
from torii.model.ids import ProjectName
from torii.sources.git.derive import REMEMBERED, Landing, resolve_all
from torii.sources.git.known import dump, load


def test_the_first_sight_of_a_project_teaches_its_branches_and_tells_its_open_changes():
    made = World()
    made.commit("base")
    made.commit("one", "base")
    made.commit("two", "base")
    made.set("main", "base")
    made.set("review/main/a", "one")
    made.set("review/main/b", "two")
    made.set("gate/main/b", "two")
    assert made.look() == [
        "main: - to base (initial)",
        "app:main/a patchset-created at one",
        "app:main/b patchset-created at two",
        "app:main/b approved at two",
    ]


def test_looking_again_tells_nothing():
    made = world()
    made.commit("one", "base")
    made.set("review/main/a", "one")
    assert made.look()
    assert made.look() == []
    made.restart()
    assert made.look() == []


def test_a_change_lives_from_push_to_abandon_and_back():
    made = world()
    made.commit("one", "base")
    made.commit("two", "base")
    made.set("review/main/a", "one")
    assert made.look() == ["app:main/a patchset-created at one"]
    made.set("review/main/a", "two")
    assert made.look() == ["app:main/a patchset-created at two"]
    made.set("gate/main/a", "two")
    assert made.look() == ["app:main/a approved at two"]
    assert made.change("main/a").approved
    made.set("gate/main/a", None)
    assert made.look() == ["app:main/a unapproved at two"]
    made.set("review/main/a", None)
    assert made.look() == ["app:main/a abandoned at two"]
    assert made.change("main/a").status is ChangeStatus.ABANDONED
    made.set("review/main/a", "two")
    assert made.look() == ["app:main/a restored at two"]


def test_an_approval_alone_needs_no_commit_to_be_read():
    made = world()
    made.commit("one", "base")
    made.set("review/main/a", "one")
    made.look()
    made.read = 0
    made.set("gate/main/a", "one")
    assert made.look() == ["app:main/a approved at one"]
    assert made.read == 0
    assert made.change("main/a").title == "do one"


def test_a_new_patch_set_under_an_old_approval_is_not_approved_and_says_why():
    made = world()
    made.commit("one", "base")
    made.commit("two", "base")
    made.set("review/main/a", "one")
    made.set("gate/main/a", "one")
    made.look()
    made.set("review/main/a", "two")
    assert made.look() == ["app:main/a patchset-created at two"]
    assert not made.change("main/a").approved
    assert "approves" in made.change("main/a").blockers[0]


def test_an_approval_of_another_patch_set_is_told_as_an_update():
    made = world()
    made.commit("one", "base")
    made.commit("two", "base")
    made.set("review/main/a", "one")
    made.look()
    made.set("gate/main/a", "two")
    assert made.look() == ["app:main/a updated at one"]
    assert not made.change("main/a").approved
    assert made.change("main/a").blockers


def test_a_gate_branch_whose_review_branch_goes_stays_the_same_change():
    made = world()
    made.commit("one", "base")
    made.set("review/main/a", "one")
    made.set("gate/main/a", "one")
    made.look()
    made.set("review/main/a", None)
    assert made.look() == ["app:main/a updated at one"]
    assert made.change("main/a").ref == "refs/heads/gate/main/a"


def test_a_branch_that_moves_is_forced_back_or_goes_is_told_each_time():
    made = world()
    made.commit("one", "base")
    made.commit("other")
    made.set("main", "one")
    assert made.look() == ["main: base to one"]
    made.set("main", "other")
    assert made.look() == ["main: one to other"]
    made.set("new", "base")
    assert made.look() == ["new: - to base"]
    made.set("main", None)
    assert made.look() == ["main: other to -"]


def test_a_branch_event_carries_what_its_torii_yml_says():
    made = world()
    made.commit("one", "base", message="Land it")
    made.set("main", "one")
    (event,) = made.events()
    assert (event.queue, event.title, event.by) == ("queue of main", "Land it", "Dev <dev@example.com>")


def test_an_empty_repository_has_nothing_and_its_first_branch_is_news():
    made = World()
    assert made.look() == []
    made.commit("base")
    made.set("main", "base")
    assert made.look() == ["main: - to base"]


def test_a_change_whose_commit_is_in_its_branch_is_merged_not_abandoned():
    made = world()
    made.commit("one", "base")
    made.set("review/main/a", "one")
    made.look()
    made.set("main", "one")
    assert made.look() == ["main: base to one", "app:main/a merged at one"]
    made.set("review/main/a", None)
    assert made.look() == []
    assert made.change("main/a").status is ChangeStatus.MERGED


def test_a_change_merged_and_deleted_between_two_looks_is_merged():
    made = world()
    made.commit("one", "base")
    made.set("review/main/a", "one")
    made.look()
    made.set("main", "one")
    made.set("review/main/a", None)
    assert made.look() == ["main: base to one", "app:main/a merged at one"]


def test_a_change_that_torii_rebased_is_merged_by_what_torii_wrote_down():
    made = world()
    made.commit("one", "base")
    made.commit("rebased", "base")
    made.set("review/main/a", "one")
    made.look()
    made.landings["main/a"] = Landing(made.sha("one"), made.sha("rebased"))
    made.set("main", "rebased")
    made.set("review/main/a", None)
    assert made.look() == ["main: base to rebased", "app:main/a merged at one"]


def test_a_merge_that_was_written_down_but_never_pushed_is_no_merge():
    made = world()
    made.commit("one", "base")
    made.commit("rebased", "base")
    made.set("review/main/a", "one")
    made.look()
    made.landings["main/a"] = Landing(made.sha("one"), made.sha("rebased"))
    made.set("review/main/a", None)
    assert made.look() == ["app:main/a abandoned at one"]


def test_a_review_branch_at_the_tip_of_its_branch_is_nothing_until_it_has_a_commit():
    made = world()
    made.set("review/main/a", "base")
    assert made.look() == []
    made.commit("one", "base")
    made.set("review/main/a", "one")
    assert made.look() == ["app:main/a patchset-created at one"]


def test_a_change_is_gone_with_its_branch():
    made = world()
    made.commit("one", "base")
    made.set("review/main/a", "one")
    made.look()
    made.set("main", None)
    assert made.look() == ["main: base to -", "app:main/a abandoned at one"]


def test_a_new_branch_that_is_a_longer_prefix_takes_the_change_over():
    made = world()
    made.commit("one", "base")
    made.set("stable", "base")
    made.set("review/stable/1.2/fix", "one")
    made.look()
    assert made.change("stable/1.2/fix").branch == "stable"
    del made.refs["app"]["refs/heads/stable"]
    made.set("stable/1.2", "base")
    assert made.look() == [
        "stable: base to -",
        "stable/1.2: - to base",
        "app:stable/1.2/fix abandoned at one",
        "app:stable/1.2/fix patchset-created at one",
    ]
    assert made.change("stable/1.2/fix").branch == "stable/1.2"


def test_changes_on_top_of_each_other_depend_on_all_below_in_order():
    made = world()
    for below, name in (("base", "one"), ("one", "two"), ("two", "three")):
        made.commit(name, below)
    made.set("review/main/z", "one")
    made.set("review/main/y", "two")
    made.set("review/main/x", "three")
    assert made.look() == [f"app:main/{name} patchset-created at {at}" for name, at in (("z", "one"), ("y", "two"), ("x", "three"))]
    assert made.change("main/x").depends_on == ("app:main/z", "app:main/y")


def test_a_dependency_that_is_abandoned_or_moved_updates_those_on_top():
    made = world()
    made.commit("one", "base")
    made.commit("two", "one")
    made.commit("other", "base")
    made.set("review/main/a", "one")
    made.set("review/main/b", "two")
    made.look()
    made.set("review/main/a", "other")
    assert made.look() == ["app:main/a patchset-created at other", "app:main/b updated at two"]
    made.set("review/main/a", "one")
    assert made.look() == ["app:main/a patchset-created at one", "app:main/b updated at two"]
    made.set("review/main/a", None)
    assert made.look() == ["app:main/a abandoned at one", "app:main/b updated at two"]
    assert made.change("main/b").depends_on == ()


def test_a_dependency_that_merges_is_told_once_and_not_by_everything_on_top_of_it():
    made = world()
    made.commit("one", "base")
    made.commit("two", "one")
    made.set("review/main/a", "one")
    made.set("review/main/b", "two")
    made.look()
    made.set("main", "one")
    assert made.look() == ["main: base to one", "app:main/a merged at one"]
    assert made.change("main/b").depends_on == ()


def test_a_footer_reaches_into_another_project():
    made = world()
    made.commit("lib base")
    made.commit("call", "lib base")
    made.set("main", "lib base", "lib")
    made.set("review/main/call", "call", "lib")
    made.look("lib")
    made.commit("one", "base", message="Use it\n\nDepends-On: lib:main/call")
    made.set("review/main/a", "one")
    made.look()
    assert made.change("main/a").depends_on == ("lib:main/call",)
    made.set("review/main/call", None, "lib")
    assert made.look("lib") == ["lib:main/call abandoned at call", "app:main/a updated at one"]
    assert made.change("main/a").blockers == ("it depends on lib:main/call, which was abandoned",)


def test_a_footer_comes_true_when_its_change_is_pushed():
    made = world()
    made.commit("one", "base", message="Use it\n\nDepends-On: app:main/later")
    made.commit("two", "base")
    made.set("review/main/a", "one")
    made.look()
    assert made.change("main/a").depends_on == ()
    made.set("review/main/later", "two")
    assert made.look() == ["app:main/later patchset-created at two", "app:main/a updated at one"]
    assert made.change("main/a").depends_on == ("app:main/later",)


def test_changes_that_depend_on_each_other_in_a_ring_are_blocked_and_the_ring_is_cut():
    made = world()
    made.commit("one", "base", message="x\n\nDepends-On: app:main/b")
    made.commit("two", "base", message="x\n\nDepends-On: app:main/a")
    made.commit("three", "base", message="x\n\nDepends-On: app:main/b")
    for name, commit in (("a", "one"), ("b", "two"), ("c", "three")):
        made.set(f"review/main/{name}", commit)
    made.look()
    assert made.change("main/a").depends_on == made.change("main/b").depends_on == ()
    assert made.change("main/a").blockers == ("it depends on itself: app:main/a -> app:main/b -> app:main/a",)
    assert made.change("main/c").depends_on == ("app:main/b",)
    assert made.change("main/c").blockers == ()


def test_keys_differ_between_occurrences_and_are_the_same_after_a_crash_before_the_commit():
    made = world()
    made.commit("one", "base")
    made.set("review/main/a", "one")
    before = made.known
    first = [event.key for event in made.events()]
    made.known = resolve_all(load(dump(before)))
    assert [event.key for event in made.events()] == first
    made.set("review/main/a", None)
    gone = [event.key for event in made.events()]
    made.set("review/main/a", "one")
    back = [event.key for event in made.events()]
    made.set("review/main/a", None)
    assert len({*first, *gone, *back, *(event.key for event in made.events())}) == 4


def test_what_happened_while_away_is_told_once_at_the_start():
    made = world()
    made.commit("one", "base")
    made.commit("two", "base")
    made.set("review/main/a", "one")
    made.look()
    made.restart()
    made.set("review/main/a", None)
    made.set("review/main/b", "two")
    made.set("gate/main/b", "two")
    assert made.look() == ["app:main/a abandoned at one", "app:main/b patchset-created at two", "app:main/b approved at two"]
    assert made.look() == []


def test_only_so_many_ended_changes_are_remembered():
    made = world()
    made.commit("one", "base")
    for number in range(REMEMBERED + 20):
        made.set(f"review/main/{number}", "one")
    made.look()
    for number in range(REMEMBERED + 20):
        made.set(f"review/main/{number}", None)
    assert len(made.look()) == REMEMBERED + 20
    made.set("review/main/last", "one")
    assert made.look() == ["app:main/last patchset-created at one"]
    assert len(made.known[ProjectName("app")].changes) == REMEMBERED + 1
