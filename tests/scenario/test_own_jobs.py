"""Stories about a change that alters or adds jobs, where a pipeline does not run them."""

from __future__ import annotations

from dataclasses import replace

from torii.testing.story import PureStory, story_config

GUARDED = """\
jobs:
  unit: {run: make unit}
  added: {run: make added, needs: [unit]}
pipelines: {check: [unit], gate: [unit]}
"""


def test_where_a_pipeline_runs_no_jobs_of_a_change_its_branchs_own_run_instead():
    config = story_config()
    check, *others = config.pipelines
    story = PureStory(GUARDED, config=replace(config, pipelines=(replace(check, own_jobs=False), *others)))
    a = story.push("a", {"torii.yml": GUARDED.replace("make unit", "curl evil").replace("check: [unit]", "check: [unit, added]")})
    (held,) = story.lab.running()
    assert (held.request.job.run, held.request.synced) == ("make unit", True)
    assert "unit runs as main has it: check does not run a job as a change alters it" in story.why(a)
    story.finish_all()
    story.approve("a")
    assert [held.request.job.run for held in story.lab.running()] == ["curl evil"]


def test_a_job_that_a_change_adds_is_said_not_to_run_before_it_has_landed():
    config = story_config()
    check, *others = config.pipelines
    story = PureStory(GUARDED, config=replace(config, pipelines=(replace(check, own_jobs=False), *others)))
    grown = GUARDED.replace("pipelines:", "  new: {run: make new}\npipelines:").replace("check: [unit]", "check: [unit, new]")
    a = story.push("a", {"torii.yml": grown})
    assert [held.request.job.name for held in story.lab.running()] == ["unit"]
    assert "new does not run: check runs no job that a change adds before that has landed" in story.why(a)
