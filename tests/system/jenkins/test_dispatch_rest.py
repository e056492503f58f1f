"""Builds over Jenkins' REST API alone: whatever breaks, each is answered once, runs once, and says why it waits."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.rest_lab import RestLab
from torii.model.build import BuildRequest
from torii.model.event import BuildDone, BuildStarted

JOB = "app--main--unit"
START = "POST /job/[^/]*/buildWithParameters"


def quick(lab: RestLab, job: str) -> BuildRequest:
    """A request for a build that succeeds after a moment."""
    request = lab.request(job)
    request = lab.requests[request.id] = replace(request, job=replace(request.job, run="sleep 0.1"))
    return request


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[RestLab]:
    lab = RestLab(tmp_path)
    yield lab
    lab.close()


def test_a_build_tells_where_it_is_and_links_back(lab):
    lab.worker()
    build = lab.start(lab.request("unit"))
    run = lab.running(build)
    started = next(event for event in lab.of(build) if isinstance(event, BuildStarted))
    assert started == BuildStarted(build.id, node="node", number=1, url=f"{lab.fake.url}/job/{JOB}/1/")
    lab.until(lambda: run.build.description)
    assert f'<a href="http://torii.example.com/builds/{build.id}">log in Torii</a>' in run.build.description
    run.build.log.write(b"at work\n")
    lab.until(lambda: lab.blobs.size(f"builds/{build.id}/console.log"))
    run.release()
    assert lab.answers(build) == ["started", "SUCCESS"]
    assert b"at work\n" in lab.blobs.read(f"builds/{build.id}/console.log")


def started(lab: RestLab, build: BuildRequest) -> list[BuildStarted]:
    return [event for event in lab.of(build) if isinstance(event, BuildStarted)]


def test_a_build_that_began_and_ended_between_two_looks_tells_where_it_was(lab):
    lab.worker(instant="SUCCESS")
    builds = [lab.start(lab.request("unit")) for _ in range(5)]
    for number, build in enumerate(builds, 1):
        assert lab.answers(build) == ["started", "SUCCESS"]
        assert started(lab, build) == [BuildStarted(build.id, node="node", number=number, url=f"{lab.fake.url}/job/{JOB}/{number}/")]


def test_a_build_that_no_look_has_seen_tells_where_it_was_once_jenkins_says_so(lab):
    lab.worker(instant="SUCCESS")
    fault = lab.fake.fault(503, f"GET /job/{JOB}/1/", times=20)
    build = lab.start(lab.request("unit"))
    assert lab.answers(build) == ["started", "SUCCESS"]
    assert [event.node for event in started(lab, build)] == ["node"]
    assert fault.met == 20
    assert lab.stall(build) == ""


def test_a_build_that_ended_while_torii_was_away_tells_where_it_was(lab):
    lab.worker()
    build = lab.start(lab.request("unit"))
    run = lab.running(build)
    lab.let_go()
    run.release()
    lab.restart_dispatcher([build])
    assert lab.answers(build) == ["started", "SUCCESS"]
    assert [event.node for event in started(lab, build)] == ["node"]


def test_a_build_that_no_look_has_seen_and_is_deleted_is_lost(lab):
    lab.worker(instant="SUCCESS")
    lab.fake.fault(404, f"GET /job/{JOB}/1/", times=10_000)
    build = lab.start(lab.request("unit"))
    assert lab.answers(build) == ["started", "LOST"]


@pytest.mark.parametrize("kind", ["cut", "after", "half", 500, 502, "html"])
def test_a_start_whose_answer_got_lost_is_not_made_twice(lab, kind):
    lab.worker(executors=2)
    fault = lab.fake.fault(kind, START)
    build = lab.start(lab.request("unit"))
    lab.running(build).release()
    assert lab.answers(build) == ["started", "SUCCESS"]
    assert fault.met == 1
    assert lab.runs(build) == 1
    assert lab.fake.queue() == []


def test_a_start_whose_answer_got_lost_while_jenkins_went_away_is_not_made_twice(lab):
    lab.worker(executors=2)
    lab.fake.fault("after", START)
    first = lab.start(lab.request("unit"))
    lab.until(lambda: lab.fake.find(first.id))
    lab.fake.down()
    lab.until(lambda: lab.stalls(first))
    assert "Jenkins 'ci' at" in lab.stalls(first)[0]
    lab.fake.up()
    lab.running(first).release()
    assert lab.answers(first) == ["started", "SUCCESS"]
    assert lab.stall(first) == ""
    assert lab.runs(first) == 1


def test_a_jenkins_that_is_down_is_waited_for_and_said_so(lab):
    lab.worker()
    lab.fake.down()
    build = lab.start(lab.request("unit"))
    assert "Jenkins 'ci' at" in lab.stall(build)
    assert lab.waits_without_limit(build)
    lab.fake.up()
    run = lab.running(build)
    assert lab.stall(build) == ""
    lab.fake.down()
    lab.until(lambda: lab.stalls(build)[-1] != "", 30)
    run.build.log.write(b"in the dark\n")
    lab.fake.core.finish(run.build, "FAILURE")
    lab.fake.up()
    assert lab.answers(build) == ["started", "FAILURE"]
    assert lab.stalls(build)[-1] == ""
    assert b"in the dark\n" in lab.blobs.read(f"builds/{build.id}/console.log")


@pytest.mark.parametrize("kind", [401, 403, "login", 500, 503, "html", "cut", "half", "slow"])
@pytest.mark.parametrize("what", ["queue/api/json", "computer/api/json"])
def test_a_look_that_is_not_answered_is_taken_again(lab, kind, what):
    lab.worker()
    build = lab.start(lab.request("unit"))
    fault = lab.fake.fault(kind, what, times=3, seconds=0.2)
    lab.running(build)
    lab.until(lambda: fault.met == 3)
    lab.run_of(build).release()
    assert lab.answers(build) == ["started", "SUCCESS"]


def test_a_jenkins_that_is_quieting_down_says_so_and_the_build_goes_on_after_it(lab):
    lab.worker()
    lab.fake.quiet_down()
    build = lab.start(lab.request("unit"))
    assert lab.stall(build).startswith("the Jenkins ci is quieting down and starts no builds")
    assert lab.waits_without_limit(build)
    lab.fake.quiet_down(False)
    lab.running(build).release()
    assert lab.answers(build) == ["started", "SUCCESS"]
    assert lab.stall(build) == ""


def test_a_build_that_is_only_behind_others_says_nothing(lab):
    lab.worker()
    first = lab.start(lab.request("unit"))
    run = lab.running(first)
    second = lab.start(lab.request("unit"))
    lab.queued(1)
    looks = len(lab.fake.requests("queue/api/json"))
    lab.until(lambda: len(lab.fake.requests("queue/api/json")) > looks + 3)
    assert lab.stalls(second) == []
    run.release()
    lab.running(second).release()
    assert lab.answers(second) == ["started", "SUCCESS"]


def test_an_executor_that_is_offline_is_named(lab):
    lab.worker("agent", labels=["gpu"]).stop()
    build = lab.start(lab.request("unit", label="gpu"))
    assert lab.stall(build) == "it waits in the queue of the Jenkins ci: ‘agent’ is offline"  # noqa: RUF001
    lab.fake.take_offline("agent", offline=False)
    lab.running(build).release()
    assert lab.answers(build) == ["started", "SUCCESS"]


@pytest.mark.parametrize("harm", ["deleted", "disabled", "renamed"])
def test_a_job_that_somebody_altered_is_put_right(lab, harm):
    lab.worker(executors=2)
    first = lab.start(lab.request("unit"))
    lab.running(first).release()
    lab.done(first)
    match harm:
        case "deleted":
            lab.fake.delete_job(JOB)
        case "disabled":
            lab.fake.disable_job(JOB)
        case "renamed":
            lab.fake.rename_job(JOB, "mine")
    second = lab.start(lab.request("unit"))
    lab.running(second).release()
    assert lab.answers(second) == ["started", "SUCCESS"]


def test_a_job_that_is_refused_again_and_again_is_given_up_with_the_reason(lab):
    lab.worker()
    lab.fake.fault(409, START, times=1000)
    build = lab.start(lab.request("unit"))
    done = lab.done(build)
    assert done.result.value == "LOST"
    assert done.detail.startswith("the Jenkins ci does not take the build: ")
    assert "The job is disabled in Jenkins" in done.detail


def test_a_job_that_is_deleted_while_its_build_waits_is_made_again(lab):
    lab.worker()
    first = lab.start(lab.request("unit"))
    run = lab.running(first)
    second = lab.start(lab.request("lint"))
    lab.queued(1)
    lab.fake.delete_job("app--main--lint")
    done = lab.done(second)
    assert (done.result.value, done.detail) == ("LOST", "it was taken out of Jenkins' queue")
    third = lab.start(lab.request("lint"))
    run.release()
    lab.running(third).release()
    assert lab.answers(third) == ["started", "SUCCESS"]


@pytest.mark.parametrize("harm", ["job deleted", "build deleted", "killed"])
def test_a_build_that_jenkins_no_longer_knows_is_lost(lab, harm):
    lab.worker()
    build = lab.start(lab.request("unit"))
    run = lab.running(build)
    match harm:
        case "job deleted":
            lab.fake.delete_job(JOB)
        case "build deleted":
            lab.fake.fault(503, "/api/json", times=8)
            run.release()
            lab.fake.delete_build(JOB, 1)
        case "killed":
            lab.fake.restart(kill=True)
    done = lab.done(build)
    assert done.result.value == "LOST"
    assert done.detail == f"{JOB} #1 in the Jenkins ci is no longer to be found: it was deleted, or Jenkins was killed in it"


def test_a_jenkins_restarted_in_a_build_does_not_answer_for_it_twice(lab):
    lab.worker()
    build = lab.start(lab.request("unit"))
    lab.running(build)
    waiting = lab.start(lab.request("unit"))
    lab.queued(1)
    lab.fake.restart()
    assert lab.done(build).result.value in ("FAILURE", "LOST")
    lab.running(waiting).release()
    assert lab.answers(waiting) == ["started", "SUCCESS"]


def test_what_a_killed_jenkins_had_in_its_queue_is_asked_for_again(lab):
    lab.worker()
    first = lab.start(lab.request("unit"))
    lab.running(first)
    waiting = lab.start(lab.request("unit"))
    lab.queued(1)
    lab.fake.restart(kill=True)
    lab.running(waiting).release()
    assert lab.answers(waiting) == ["started", "SUCCESS"]
    assert lab.answers(first) == ["started", "LOST"]


def test_a_stop_is_answered_also_while_jenkins_is_away(lab, monkeypatch):
    monkeypatch.setattr("torii.dispatch.rest._STOP_PAUSE", 0.2)
    lab.worker()
    build = lab.start(lab.request("unit"))
    lab.running(build)
    lab.fake.down()
    lab.dispatcher.stop_build(build.id, "superseded")
    done = lab.done(build)
    assert (done.result.value, done.detail) == ("CANCELED", "superseded; the Jenkins ci did not end it")


def test_a_change_s_own_job_is_made_for_its_build_and_removed_after_it(lab):
    lab.worker()
    build = lab.start(lab.request("unit", synced=False))
    run = lab.running(build)
    name = run.job
    assert name.startswith(f"{JOB}--x")
    run.release()
    assert lab.answers(build) == ["started", "SUCCESS"]
    lab.until(lambda: name not in lab.fake.jobs)


def test_several_controllers_share_the_builds_and_each_is_found_again_where_it_is(tmp_path):
    lab = RestLab(tmp_path, controllers=2)
    try:
        for name in lab.fakes:
            lab.worker(executors=20, controller=name)
        builds = [lab.start(lab.request("unit")) for _ in range(20)]
        runs = {build.id: lab.running(build) for build in builds}
        places = {build: run.fake.url for build, run in runs.items()}
        assert len(set(places.values())) == 2
        lab.restart_dispatcher(builds)
        for build in builds:
            lab.running(build)
            runs[build.id].release()
        assert all(lab.answers(build) == ["started", "SUCCESS"] for build in builds)
        assert all(lab.runs(build) == 1 for build in builds)
    finally:
        lab.close()


def test_a_controller_that_is_away_holds_up_no_build_of_another(tmp_path):
    lab = RestLab(tmp_path, controllers=2)
    try:
        for name in lab.fakes:
            lab.worker(executors=20, controller=name)
        lab.fakes["ci2"].down()
        builds = [lab.start(lab.request("unit")) for _ in range(20)]
        lab.until(lambda: all(lab.fake.find(build.id) or lab.stalls(build) for build in builds), 30)
        mine = [build for build in builds if lab.fake.find(build.id)]
        assert 0 < len(mine) < 20
        for build in mine:
            lab.running(build).release()
            assert lab.answers(build) == ["started", "SUCCESS"]
        lab.fakes["ci2"].up()
        for build in builds:
            if build not in mine:
                lab.running(build, 30).release()
                assert lab.answers(build) == ["started", "SUCCESS"]
    finally:
        lab.close()


def test_a_restart_at_any_moment_runs_nothing_twice(lab):
    """The dispatcher is let go of at odd moments: while jobs are made, builds are asked for, wait, run and end."""
    lab.worker(executors=4)
    lab.fake.for_real()
    chance = random.Random(20261126)
    open_ = []
    for _ in range(12):
        open_ += [lab.start(quick(lab, chance.choice(("unit", "lint")))) for _ in range(3)]
        until = time.monotonic() + chance.uniform(0, 0.15)
        lab.until(lambda until=until: time.monotonic() > until)
        open_ = [build for build in open_ if not any(isinstance(event, BuildDone) for event in lab.of(build))]
        lab.restart_dispatcher(open_)
    for build in open_:
        lab.done(build, 60)
    assert all(lab.runs(build) == 1 for build in lab.requests.values())
    assert lab.fake.queue() == []


def test_what_another_life_wanted_is_not_looked_for_one_by_one(lab):
    lab.worker(executors=50)
    builds = [lab.start(lab.request("unit")) for _ in range(50)]
    for build in builds:
        lab.running(build)
    before = len(lab.fake.requests())
    lab.restart_dispatcher(builds)
    for build in builds:
        lab.running(build)
    asked = [target for _, target in lab.fake.requests()[before:] if "/api/json" in target]
    assert asked
    assert [target for target in asked if "/job/" in target] == []


def test_a_jenkins_that_does_not_let_torii_start_builds_is_asked_again_when_it_does(lab):
    lab.worker()
    fault = lab.fake.fault(403, START, times=3)
    build = lab.start(lab.request("unit"))
    lab.until(lambda: lab.stalls(build))
    assert "lacks the permission" in lab.stalls(build)[0]
    lab.running(build).release()
    assert lab.answers(build) == ["started", "SUCCESS"]
    assert fault.met == 3


def test_a_stop_while_the_result_is_due_from_a_jenkins_that_is_away_is_answered(lab):
    lab.worker()
    build = lab.start(lab.request("unit"))
    run = lab.running(build)
    lab.fake.fault(503, f"{JOB}/1/", times=10_000)
    run.release()
    lab.until(lambda: lab.stalls(build))
    lab.dispatcher.stop_build(build.id, "superseded")
    done = lab.done(build)
    assert (done.result.value, done.detail) == ("CANCELED", "superseded")


@pytest.mark.timeout(240)
def test_in_a_storm_of_faults_each_build_is_answered_once_and_no_change_is_blamed(lab):
    """Jenkins is killed, ended, cut off and made to answer nonsense while builds come and go; so is the dispatcher."""
    lab.worker(executors=4)
    lab.fake.for_real()
    chance = random.Random(6)
    open_ = []
    for turn in range(25):
        open_ += [lab.start(quick(lab, chance.choice(("unit", "lint")))) for _ in range(chance.randrange(4))]
        match chance.randrange(7):
            case 0:
                lab.fake.restart(kill=chance.random() < 0.5)
            case 1:
                lab.fake.down()
            case 2:
                kind = chance.choice(("cut", "after", "half", 500, "html", "login"))
                lab.fake.fault(kind, chance.choice(("POST", "queue", "computer", "api/json", "logText")), times=chance.randrange(1, 6))
            case 3:
                lab.fake.delete_job(chance.choice(list(lab.fake.jobs))) if lab.fake.jobs and not lab.fake.running() else None
            case 4 if turn % 2:
                open_ = [build for build in open_ if not any(isinstance(event, BuildDone) for event in lab.of(build))]
                lab.restart_dispatcher(open_)
        until = time.monotonic() + chance.uniform(0, 0.3)
        lab.until(lambda until=until: time.monotonic() > until)
        lab.fake.up()
    lab.fake.faults.clear()
    for build in open_:
        assert lab.done(build, 60).result.value in ("SUCCESS", "LOST")
        assert sum(isinstance(event, BuildDone) for event in lab.of(build)) == 1
    assert all(lab.runs(build) <= 1 for build in lab.requests.values())
    lab.until(lambda: not lab.fake.running() and not lab.fake.queue())
