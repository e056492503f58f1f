"""After a merge, the tree that landed is compared with the tested one (invariant 1 of the design)."""

from __future__ import annotations

from torii.model.event import Merged, SubmitDone
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
