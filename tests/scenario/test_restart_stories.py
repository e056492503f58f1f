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
