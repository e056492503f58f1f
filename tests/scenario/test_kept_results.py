"""Stories about results that are kept: the same jobs on the same tree are not run twice for a change, unless somebody asks for it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from torii.gate import Gate
from torii.gate.state import State
from torii.model.build import Result
from torii.model.ids import ChangeId
from torii.model.pipeline import Cause
from torii.store.codec import decode, encode
from torii.testing.story import TORII_YML, PureStory, story_config, with_recheck

SAME = {"a.txt": "a"}


def check(yml: str = TORII_YML) -> PureStory:
    return PureStory(yml, config=with_recheck(story_config()))


@pytest.fixture
def story() -> PureStory:
    return check()


def builds(story: PureStory, change: ChangeId) -> int:
    return len([held for held in story.lab.builds.values() if held.request.change == change])


def test_another_message_on_the_same_tree_is_answered_at_once(story):
    a = story.push("a", SAME)
    story.finish_all()
    story.push("a", SAME)
    assert builds(story, a) == 2
    first, second = story.reports(a, "check")
    assert (second.subject.patchset, second.votes) == ("2", first.votes)
    assert second.builds == first.builds
    assert second.reason == "passed on the tip of main; the tree is the same as that of patch set 1: results kept"
    assert "the tree is the same as that of patch set 1: results kept" in story.why(a)


def test_a_failure_is_kept_as_well(story):
    a = story.push("a", SAME)
    story.finish_all("FAILURE")
    story.push("a", SAME)
    assert story.verdicts(a, "check") == ["failure", "failure"]
    assert builds(story, a) == 2
    assert story.reports(a, "check")[1].reason.endswith("the tree is the same as that of patch set 1: results kept")


def test_results_are_kept_from_one_patch_set_to_the_next_and_on(story):
    a = story.push("a", SAME)
    story.finish_all()
    story.push("a", SAME)
    story.restart()
    story.push("a", SAME)
    first, _, third = story.reports(a, "check")
    assert third.builds == first.builds
    assert "that of patch set 2" in third.reason


def test_a_tree_that_differs_is_tested(story):
    a = story.push("a", SAME)
    story.finish_all()
    story.push("a", {"a.txt": "better"})
    assert story.running(a, "check") == ["lint", "unit"]


def test_a_rebase_onto_a_branch_that_moved_is_tested(story):
    a = story.push("a", SAME)
    story.finish_all()
    story.push_past_the_gate({"hotfix": "1"})
    story.push("a", SAME)
    assert story.running(a, "check") == ["lint", "unit"]


@pytest.mark.parametrize("result", ["LOST", "ABORTED", "TIMED_OUT", "NOT_BUILT"])
def test_what_says_nothing_about_the_change_is_not_kept(story, result):
    a = story.push("a", SAME)
    for _ in range(3 if result == "LOST" else 1):
        story.finish(a, "unit", result, pipeline="check")
    story.finish(a, "lint", pipeline="check")
    story.push("a", SAME)
    assert story.running(a, "check") == ["unit"]
    assert "the tree is the same as that of patch set 1: results of lint kept" in story.why(a)
    story.finish(a, "unit", pipeline="check")
    assert story.reports(a, "check")[-1].reason == (
        "passed on the tip of main; the tree is the same as that of patch set 1: results of lint kept"
    )


def test_what_was_not_tested_to_the_end_is_tested(story):
    a = story.push("a", SAME)
    story.finish(a, "unit", pipeline="check")
    story.push("a", SAME)
    assert story.running(a, "check") == ["lint", "unit"]


def test_what_a_queue_merges_is_tested_there(story):
    a = story.push("a", SAME)
    story.finish_all()
    story.approve("a")
    assert story.running(a) == ["unit"]


def test_the_same_patch_set_triggered_again_is_answered_at_once():
    config = with_recheck(story_config())
    triggers = {spec.name: spec.triggers for spec in config.pipelines}["check"]
    more = (*triggers, replace(triggers[0], cause=Cause.READY))
    specs = tuple(replace(spec, triggers=more) if spec.name == "check" else spec for spec in config.pipelines)
    story = PureStory(config=replace(config, pipelines=specs))
    a = story.push("a", SAME)
    story.finish_all()
    story.alter(a, Cause.READY)
    assert story.verdicts(a, "check") == ["success", "success"]
    assert "the tree is the same as when it was last tested: results kept" in story.why(a)


def test_a_job_that_is_defined_in_another_way_by_now_is_run(story):
    a = story.push("a", {"torii.yml": TORII_YML.replace("make lint", "make lint 2")})
    story.finish_all()
    story.push_past_the_gate({"x": "1"})
    story.push("a", {"torii.yml": TORII_YML.replace("make lint", "make lint 3")})
    assert story.running(a, "check") == ["lint", "unit"]  # the tree differs: `torii.yml` is part of it


def test_a_change_that_is_abandoned_is_forgotten(story):
    a = story.push("a", SAME)
    story.finish_all()
    assert story.lab.gate.state.kept
    story.abandon(a)
    assert story.lab.gate.state.kept == {}
    story.restore(a)
    assert story.running(a, "check") == ["lint", "unit"]


def test_a_change_that_has_merged_is_forgotten(story):
    story.push("a", SAME)
    story.finish_all()
    story.approve("a")
    story.finish_all()
    assert story.lab.gate.state.kept == {}


def test_a_pipeline_that_is_no_more_keeps_nothing(story):
    story.push("a", SAME)
    story.finish_all()
    specs = tuple(spec for spec in story.lab.config.pipelines if spec.name != "check")
    story.lab.config = replace(story.lab.config, pipelines=specs)
    story.restart()
    assert story.lab.gate.state.kept == {}


NEW = {"kept", "anew", "comments", "twins", "tree", "again", "onto_tree", "together", "merge", "topic", "hashtags", "wip", "private"}
"""What states did not have before Torii knew Gerrit."""


def without_what_is_new(value: Any) -> Any:
    if isinstance(value, dict):
        staged = "ref" in value and "base" in value  # whose tree is as old as it is
        return {key: without_what_is_new(inner) for key, inner in value.items() if key not in NEW or (key == "tree" and staged)}
    return [without_what_is_new(inner) for inner in value] if isinstance(value, list) else value


def test_a_state_written_before_there_were_kept_results_is_read(story):
    story.approve("a", "b")
    older = json.dumps(without_what_is_new(json.loads(encode(story.lab.gate.state))))
    assert decode(State, older) == story.lab.gate.state
    story.lab.gate = Gate(decode(State, older))
    story.finish_all()
    assert len(story.merged) == 2


# -- recheck


def test_a_recheck_builds_everything_anew(story):
    a = story.push("a", SAME)
    story.finish_all("FAILURE")
    story.comment(a, "recheck")
    assert story.running(a, "check") == ["lint", "unit"]
    story.finish_all()
    assert story.verdicts(a, "check") == ["failure", "success"]
    story.push("a", SAME)
    assert story.verdicts(a, "check")[-1] == "success"


def test_a_recheck_of_one_job_builds_just_that(story):
    a = story.push("a", SAME)
    story.finish_all("FAILURE")
    story.comment(a, "recheck unit")
    assert story.running(a, "check") == ["unit"]
    story.finish(a, "unit", pipeline="check")
    report = story.reports(a, "check")[-1]
    assert {one.job: one.result for one in report.builds} == {"unit": Result.SUCCESS, "lint": Result.FAILURE}
    assert report.reason.endswith("the tree is the same as when it was last tested: results of lint kept")


def test_a_recheck_of_one_job_builds_all_where_the_tree_is_another_by_now(story):
    a = story.push("a", SAME)
    story.finish_all("FAILURE")
    story.push_past_the_gate({"hotfix": "1"})
    story.comment(a, "recheck unit")
    assert story.running(a, "check") == ["lint", "unit"]


def test_a_recheck_of_some_jobs_takes_their_names_in_any_manner(story):
    a = story.push("a", SAME)
    story.finish_all()
    story.comment(a, "recheck unit, lint")
    assert story.running(a, "check") == ["lint", "unit"]
    story.finish_all()
    story.comment(a, "recheck uni*")
    assert story.running(a, "check") == ["unit"]


def test_a_recheck_of_what_others_needed_runs_those_too():
    story = check(
        "jobs:\n  build: {run: make}\n  unit: {run: make unit, needs: [build]}\n  docs: {run: make docs}\n"
        "pipelines: {check: [build, unit, docs]}\n"
    )
    a = story.push("a", SAME)
    story.finish(a, "build", "FAILURE", pipeline="check")
    story.finish(a, "docs", pipeline="check")
    story.comment(a, "recheck build")
    assert story.running(a, "check") == ["build"]
    story.finish(a, "build", pipeline="check")
    assert story.running(a, "check") == ["unit"]


def test_a_recheck_of_a_job_that_there_is_not_says_so_and_names_near_ones_without_a_vote(story):
    a = story.push("a", SAME)
    story.finish_all()
    story.comment(a, "recheck unti")
    report = story.reports(a, "check")[-1]
    assert (report.verdict.value, report.votes, report.builds) == ("could not be tried", (), ())
    assert report.reason == "check has no job unti; did you mean unit?"
    assert "check has no job unti; did you mean unit?" in story.why(a)
    story.comment(a, "recheck [")
    assert story.reports(a, "check")[-1].reason == "check has no job [; it has unit and lint"
    assert builds(story, a) == 2
    assert story.lab.forge.staging == {}


def test_a_recheck_of_a_job_that_does_not_run_here_says_why():
    story = check("jobs: {unit: {run: make}, docs: {run: make docs, when: {files: ['docs/**']}}}\npipelines: {check: [unit, docs]}\n")
    a = story.push("a", SAME)
    story.finish_all()
    story.comment(a, "recheck docs")
    assert story.reports(a, "check")[-1].reason == "docs is not concerned: no changed file matches docs/**"
