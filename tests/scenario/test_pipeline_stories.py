"""Stories about what a pipeline runs, and when: checks, post-merge jobs, job graphs, matchers, and `torii.yml` itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from torii.model.build import Result
from torii.model.change import ChangeStatus
from torii.model.command import Merge
from torii.model.event import BranchMoved, MergeDone
from torii.model.ids import PipelineName, ProjectName
from torii.model.pipeline import ApprovalRule, Cause, Manager, PipelineSpec, ProjectSpec, Requirements, Trigger, Window
from torii.testing.lab import HeldBuild, Lab
from torii.testing.story import PureStory, story_config


@pytest.fixture
def story() -> PureStory:
    return PureStory()


def graph(text: str) -> PureStory:
    return PureStory(text)


# -- check


def test_a_check_reports_and_merges_nothing(story):
    a = story.push("a")
    assert story.running(a, "check") == ["lint", "unit"]
    story.finish_all()
    assert story.reported(a, "check") == "SUCCESS"
    assert story.votes(a, "check") == ["+1"]
    assert story.merged == []


def test_checks_do_not_wait_for_each_other(story):
    a, b = story.push("a"), story.push("b")
    story.finish(b, "lint", pipeline="check")
    story.finish(b, "unit", pipeline="check")
    assert story.reported(b, "check") == "SUCCESS"
    assert story.reported(a, "check") == ""


def test_a_check_is_made_with_what_the_change_depends_on(story):
    a = story.push("a")
    b = story.push("b", depends_on=[a])
    assert story.built_on(b, "check") == (a,)


def test_a_check_is_made_anew_when_what_it_depends_on_changes(story):
    a = story.push("a")
    b = story.push("b", depends_on=[a])
    first = {held.request.id for held in story.lab.running() if held.request.change == b}
    story.push("a", {"a.txt": "better"})
    second = {held.request.id for held in story.lab.running() if held.request.change == b}
    assert second and not first & second
    assert f"{a}, which it depends on, changed" in story.why(b)


def test_a_recheck_runs_everything_again(story):
    a = story.push("a")
    story.finish_all("FAILURE")
    story.recheck(a)
    story.finish_all()
    assert story.verdicts(a, "check") == ["failure", "success"]


def test_a_failing_job_that_has_no_vote_does_not_fail_the_change(story):
    a = story.push("a")
    story.finish(a, "lint", "FAILURE", pipeline="check")
    story.finish(a, "unit", pipeline="check")
    assert story.reported(a, "check") == "SUCCESS"


# -- job graph

GRAPH = """\
jobs:
  build: {run: make}
  unit: {run: make unit, needs: [build]}
  docs: {run: make docs, needs: [{job: build, soft: true}]}
  publish: {run: make dist, needs: [unit, docs]}
pipelines: {check: [build, unit, docs, publish], gate: []}
"""


def test_a_job_runs_when_what_it_needs_has_succeeded():
    story = graph(GRAPH)
    a = story.push("a")
    assert story.running(a, "check") == ["build"]
    story.finish(a, "build", pipeline="check")
    assert story.running(a, "check") == ["docs", "unit"]
    story.finish(a, "unit", pipeline="check")
    assert story.running(a, "check") == ["docs"]
    story.finish(a, "docs", pipeline="check")
    assert story.running(a, "check") == ["publish"]


def test_a_hard_need_that_fails_skips_what_needs_it_and_a_soft_one_does_not():
    story = graph(GRAPH)
    a = story.push("a")
    story.finish(a, "build", "FAILURE", pipeline="check")
    assert story.running(a, "check") == ["docs"]
    story.finish(a, "docs", pipeline="check")
    (report,) = story.reports(a, "check")
    assert {one.job: one.result for one in report.builds} == {
        "build": Result.FAILURE,
        "unit": Result.SKIPPED,
        "docs": Result.SUCCESS,
        "publish": Result.SKIPPED,
    }
    assert report.builds[1].detail == "needs build, which ended FAILURE"


MATRIX = """\
jobs:
  unit: {run: make unit, matrix: {python: ["3.11", "3.12"]}}
  dist: {run: make dist, needs: [unit]}
pipelines: {check: [unit, dist]}
"""


def test_a_job_that_needs_a_matrix_needs_each_of_its_cells():
    story = graph(MATRIX)
    a = story.push("a")
    first, second = story.running(a, "check")
    story.finish(a, first, pipeline="check")
    assert story.running(a, "check") == [second]
    story.finish(a, second, pipeline="check")
    assert story.running(a, "check") == ["dist"]


# -- matchers

MATCH = """\
jobs:
  unit: {run: make unit, when: {files: ["src/**"]}}
  docs: {run: make docs, when: {files: ["docs/**"]}}
  release: {run: make release, when: {branches: ["stable/*"]}}
pipelines: {check: [unit, docs, release], gate: [unit]}
"""


def test_jobs_run_only_for_the_files_and_branches_they_match():
    story = PureStory(MATCH, branches=["main", "stable/1"])
    assert story.running(story.push("a", {"src/a.c": "1"}), "check") == ["unit"]
    assert story.running(story.push("b", {"docs/b.md": "1", "src/b.c": "1"}), "check") == ["docs", "unit"]
    assert story.running(story.push("c", {"src/c.c": "1"}, branch="stable/1"), "check") == ["release", "unit"]


def test_a_change_that_no_job_is_concerned_with_merges_without_builds():
    story = graph(MATCH)
    story.push("a", {"README": "new"})
    (a,) = story.approve("a")
    assert story.merged == [a]
    assert "not concerned" in story.reports(a, "check")[0].reason


def test_a_job_that_the_change_itself_alters_runs_whatever_its_files_say():
    story = graph(MATCH)
    a = story.push("a", {"torii.yml": MATCH.replace("make unit", "make test")})
    assert story.running(a, "check") == ["unit"]
    (held,) = story.lab.running()
    assert (held.request.job.run, held.request.synced) == ("make test", False)


# -- torii.yml


def test_a_change_that_breaks_torii_yml_is_told_where_and_stops_nobody_else(story):
    a = story.push("a", {"torii.yml": "jobs:\n  unit: {rnu: make}\n"})
    b = story.push("b")
    assert story.reported(a, "check") == "CONFIGURATION ERROR"
    (report,) = story.reports(a, "check")
    assert (2, "jobs.unit.rnu") in [(problem.line, problem.path) for problem in report.problems]
    assert story.running(b, "check") == ["lint", "unit"]


def test_a_change_that_breaks_torii_yml_does_not_get_through_the_gate(story):
    story.push("a", {"torii.yml": "jobs: ["})
    a, b = story.approve("a", "b")
    assert story.reported(a) == "CONFIGURATION ERROR"
    story.finish_all()
    assert story.merged == [b]


def test_a_project_without_torii_yml_is_told_so():
    lab = Lab(story_config())
    lab.feed(lab.forge.create_branch(ProjectName("app"), "main", {"README": "hello"}))
    lab.feed(lab.forge.push_change("app:main/a", "app", "main", {"a": "1"}))
    lab.settle()
    (report,) = lab.forge.reports.values()
    assert report.verdict.value == "configuration error"
    assert "there is no torii.yml" in report.reason


def test_a_pipeline_that_torii_yml_does_not_name_leaves_the_change_alone():
    story = graph("jobs: {unit: {run: make}}\npipelines: {gate: [unit]}\n")
    a = story.push("a")
    assert story.reported(a, "check") == ""
    assert "names no jobs for pipeline check" in story.why(a)


def test_a_gate_that_torii_yml_does_not_name_is_an_error():
    story = graph("jobs: {unit: {run: make}}\npipelines: {check: [unit]}\n")
    (a,) = story.approve("a")
    assert story.reported(a) == "CONFIGURATION ERROR"
    assert story.merged == []


# -- after the merge

POST = "jobs: {unit: {run: make}, publish: {run: make publish}}\npipelines: {gate: [unit], post: [publish]}\n"


def test_a_merge_starts_the_post_pipeline_with_the_old_and_the_new_commit():
    story = graph(POST)
    before = story.lab.forge.branches["app", "main"]
    (a,) = story.approve("a")
    story.finish(a, "unit")
    (held,) = story.branch_builds()
    assert (held.request.old, held.request.new) == (before, story.lab.forge.branches["app", "main"])
    assert held.request.commit == held.request.new


def test_a_post_job_runs_for_the_files_of_all_that_was_pushed_at_once():
    story = graph("jobs: {docs: {run: make docs, when: {files: ['docs/**']}}}\npipelines: {post: [docs]}\n")
    story.push_past_the_gate({"docs/a.md": "1"})
    story.push_past_the_gate({"docs/b.md": "1"})  # waits for the first
    story.push_past_the_gate({"src/a.c": "1"})  # takes its place, and covers its files
    story.finish_all()
    story.push_past_the_gate({"src/b.c": "1"})
    builds = [held.request for held in story.lab.builds.values()]
    assert len(builds) == 2
    assert builds[1].old == builds[0].new


def test_only_the_newest_state_of_a_branch_waits_in_a_supercedent_pipeline():
    story = graph(POST)
    first = story.lab.forge.branches["app", "main"]
    for number in range(4):
        story.push_past_the_gate({"hotfix": str(number)})
        if number == 0:
            second = story.lab.forge.branches["app", "main"]
    (running,) = story.branch_builds()
    assert (running.request.old, running.request.new) == (first, second)
    story.lab.end(running.request.id, Result.SUCCESS)
    story.lab.settle()
    (running,) = story.branch_builds()
    assert (running.request.old, running.request.new) == (second, story.lab.forge.branches["app", "main"])
    story.finish_all()
    assert story.branch_builds() == []
    superseded = [one for one in story.lab.items.values() if one.outcome == "superseded"]
    assert len(superseded) == 2


def test_a_branch_that_was_there_before_starts_nothing():
    assert graph(POST).branch_builds() == []


# -- serial

SERIAL = PipelineSpec(PipelineName("deploy"), Manager.SERIAL, (Trigger(Cause.APPROVED),), Requirements(approved=True), merges=True)


def test_a_serial_pipeline_takes_one_after_the_other():
    story = PureStory("jobs: {ship: {run: make ship}}\npipelines: {deploy: [ship]}\n")
    config = story_config()
    story.lab.config = replace(config, pipelines=(SERIAL,))
    story.lab.restart()
    a, b = story.approve("a", "b")
    assert story.running(a, "deploy") == ["ship"]
    assert story.running(b, "deploy") == []
    story.finish(a, "ship", pipeline="deploy")
    assert story.built_on(b, "deploy") == ()
    story.finish(b, "ship", pipeline="deploy")
    assert story.merged == [a, b]


# -- several projects

SHARED = "queue: together\njobs: {unit: {run: make}}\npipelines: {gate: [unit]}\n"


def test_projects_that_share_a_queue_are_gated_together():
    app, lib = ProjectName("app"), ProjectName("lib")
    lab = Lab(story_config(projects=(ProjectSpec(app), ProjectSpec(lib))))
    for project in (app, lib):
        lab.feed(lab.forge.create_branch(project, "main", {"torii.yml": SHARED}))
    for change, project in (("lib:main/a", lib), ("app:main/b", app), ("lib:main/c", lib)):
        lab.feed(lab.forge.push_change(change, project, "main", {f"{change}.txt": "1"}))
        lab.feed(lab.forge.approve(change))
    lab.settle()
    builds = {held.request.change: held.request for held in lab.running()}
    assert [change for change, _ in builds["lib:main/c"].changes] == ["lib:main/a", "app:main/b", "lib:main/c"]
    lab.end(builds["app:main/b"].id, Result.FAILURE)
    lab.settle()
    builds = {held.request.change: held.request for held in lab.running()}
    assert [change for change, _ in builds["lib:main/c"].changes] == ["lib:main/a", "lib:main/c"]


def test_projects_that_share_no_queue_do_not_wait_for_each_other():
    app, lib = ProjectName("app"), ProjectName("lib")
    lab = Lab(story_config(projects=(ProjectSpec(app), ProjectSpec(lib))))
    for project in (app, lib):
        lab.feed(lab.forge.create_branch(project, "main", {"torii.yml": SHARED.replace("queue: together\n", "")}))
        lab.feed(lab.forge.push_change(f"{project}:main/a", project, "main", {"a": "1"}))
        lab.feed(lab.forge.approve(f"{project}:main/a"))
    lab.settle()
    (held,) = [one for one in lab.running() if one.request.project == lib]
    lab.end(held.request.id, Result.SUCCESS)
    lab.settle()
    assert lab.forge.merged == ["lib:main/a"]


def two_projects(torii_yml: str) -> Lab:
    """Return a lab in which `app:main/b` depends on `lib:main/a`, and both were pushed."""
    app, lib = ProjectName("app"), ProjectName("lib")
    lab = Lab(story_config(projects=(ProjectSpec(app), ProjectSpec(lib))))
    for project in (app, lib):
        lab.feed(lab.forge.create_branch(project, "main", {"torii.yml": torii_yml}))
    lab.feed(lab.forge.push_change("lib:main/a", lib, "main", {"a": "1"}))
    lab.feed(lab.forge.push_change("app:main/b", app, "main", {"b": "1"}, ("lib:main/a",)))
    lab.settle()
    return lab


def gated(lab: Lab) -> dict[str, HeldBuild]:
    return {held.request.change: held for held in lab.running() if held.request.pipeline == "gate"}


def test_what_is_merged_while_a_change_ahead_of_another_project_in_between_lands_is_not_tested_again():
    lab = two_projects(SHARED)
    app = ProjectName("app")
    lab.feed(lab.forge.push_change("app:main/first", app, "main", {"first": "1"}))
    lab.feed(lab.forge.push_change("app:main/last", app, "main", {"last": "1"}))
    lab.settle()
    for change in ("app:main/first", "lib:main/a", "app:main/last"):
        lab.feed(lab.forge.approve(change))
    lab.feed(lab.pending.pop(0))  # the first is staged: the others are asked for on top of it
    late = [answer for answer in lab.pending if isinstance(answer, MergeDone)]
    lab.pending = [answer for answer in lab.pending if answer not in late]
    lab.settle()
    lab.end(gated(lab)["app:main/first"].request.id, Result.SUCCESS)
    lab.settle()
    assert lab.forge.merged == ["app:main/first"]
    lab.pending += late
    lab.settle()
    assert [one.request.change for one in lab.builds.values()] == ["app:main/first", "lib:main/a", "app:main/last"]
    assert not any("past the gate" in one.text for one in lab.decisions)


def test_what_waits_for_a_change_of_another_queue_enters_once_that_has_merged():
    lab = two_projects(SHARED.replace("queue: together\n", ""))
    lab.feed(lab.forge.approve("app:main/b"))
    lab.feed(lab.forge.approve("lib:main/a"))
    lab.settle()
    assert list(gated(lab)) == ["lib:main/a"]
    lab.end(gated(lab)["lib:main/a"].request.id, Result.SUCCESS)
    lab.settle()
    lab.end(gated(lab)["app:main/b"].request.id, Result.SUCCESS)
    lab.settle()
    assert lab.forge.merged == ["lib:main/a", "app:main/b"]


def test_what_waits_for_a_change_that_somebody_merges_by_hand_enters():
    lab = two_projects(SHARED)
    lab.feed(lab.forge.approve("app:main/b"))
    lab.feed(lab.forge.alter("lib:main/a", Cause.MERGED, status=ChangeStatus.MERGED))
    lab.settle()
    assert list(gated(lab)) == ["app:main/b"]


def test_what_waits_for_a_change_that_it_no_longer_depends_on_enters():
    lab = two_projects(SHARED)
    lab.feed(lab.forge.approve("app:main/b"))
    b = lab.forge.submissions["app:main/b"]
    b.change = replace(b.change, depends_on=())
    lab.feed(lab.forge._news("app:main/b", Cause.UPDATED))
    lab.settle()
    assert list(gated(lab)) == ["app:main/b"]


def test_a_project_that_is_no_longer_configured_leaves_its_queues(story):
    (a,) = story.approve("a")
    story.lab.config = replace(story.lab.config, projects=())
    story.restart()
    assert story.lab.gate.state.items == {}
    assert "no longer configured" in story.why(a)


# -- another configuration after a restart


def reconfigured(story: PureStory, pipeline: str, **altered: object) -> None:
    """Restart with one pipeline altered."""
    specs = [replace(spec, **altered) if spec.name == pipeline else spec for spec in story.lab.config.pipelines]
    story.lab.config = replace(story.lab.config, pipelines=tuple(specs))
    story.restart()


def test_a_change_that_does_not_meet_what_a_pipeline_requires_since_a_restart_leaves_and_is_told(story):
    (a,) = story.approve("a")
    story.finish(a, "unit", crash_after="report")  # its merge was about to be asked for
    reconfigured(story, "gate", require=Requirements(approved=True, approvals=(ApprovalRule("Code-Review", 2),)))
    assert story.merged == []
    assert story.verdicts(a) == ["success", "dequeued"]
    assert "no vote of +2 on Code-Review" in story.why(a)


def test_a_project_that_no_longer_takes_part_in_a_pipeline_leaves_it(story):
    (a,) = story.approve("a")
    story.lab.config = replace(story.lab.config, projects=(ProjectSpec(story.project, pipelines=(PipelineName("check"),)),))
    story.restart()
    story.finish_all()
    assert story.merged == []
    assert story.reported(a, "check") == "SUCCESS"


def test_what_is_in_a_gate_that_becomes_a_check_is_tested_alone(story):
    a, b = story.approve("a", "b")
    story.lab.forge.merging = False
    story.finish(a, "unit")
    reconfigured(story, "gate", manager=Manager.INDEPENDENT, merges=False)
    assert (story.built_on(a), story.built_on(b)) == ((), ())
    story.lab.forge.merging = True
    story.finish_all()
    assert story.merged == []
    assert story.reported(b) == "SUCCESS"
    assert story.lab.gate.state.items == {}


def test_what_is_in_a_check_that_becomes_a_queue_is_tested_one_on_the_other(story):
    a, b = story.push("a"), story.push("b")
    reconfigured(story, "check", manager=Manager.DEPENDENT)
    assert story.built_on(b, "check") == (a,)
    assert {queue.window for queue in story.lab.gate.state.queues.values()} == {20}
    story.finish_all()
    assert story.reported(b, "check") == "SUCCESS"


def test_branch_states_wait_on_when_their_pipeline_becomes_a_serial_one():
    story = graph(POST)
    for number in range(3):
        story.push_past_the_gate({"hotfix": str(number)})
    reconfigured(story, "post", manager=Manager.SERIAL)
    story.finish_all()
    builds = [held.request for held in story.lab.builds.values()]
    assert builds[-1].new == story.lab.forge.branches["app", "main"]
    assert story.lab.gate.state.items == {}


def test_a_window_keeps_to_its_bounds_when_they_change(story):
    changes = story.approve(*(f"c{number}" for number in range(8)))
    reconfigured(story, "gate", window=Window(initial=2, floor=1, ceiling=4))
    (queue,) = [queue for queue in story.lab.gate.state.queues.values() if queue.pipeline == "gate"]
    assert queue.window == 4
    story.finish_all()
    assert story.merged == list(changes)


def test_a_deleted_branch_has_nothing_staged_for_it_any_more(story):
    story.approve(*(f"c{number}" for number in range(30)))
    deleted = BranchMoved(story.project, "main", story.lab.forge.branches["app", "main"], None, "deleted")
    commands = story.lab.gate.step(deleted, story.lab.now)
    assert not [command for command in commands if isinstance(command, Merge)]
    assert story.lab.gate.state.items == {}


def test_a_deleted_branch_takes_its_changes_out(story):
    (a,) = story.approve("a")
    story.lab.feed(BranchMoved(story.project, "main", story.lab.forge.branches["app", "main"], None, "deleted"))
    story.lab.settle()
    assert story.running(a) == []
    assert story.reported(a) == "DEQUEUED"
    assert "branch main was deleted" in story.why(a)
