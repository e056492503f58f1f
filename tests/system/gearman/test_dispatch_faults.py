from __future__ import annotations

import contextlib
import itertools
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.dispatch_lab import DispatchLab
from tests.support.gearman_servers import EmbeddedServer, Gearmand
from tests.support.waiting import within
from torii.errors import OperatorError
from torii.jobs import JobError
from torii.model.event import BuildStalled

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(params=["embedded", pytest.param("gearmand", marks=pytest.mark.needs("gearmand"))])
def lab(request):
    lab = DispatchLab(EmbeddedServer() if request.param == "embedded" else Gearmand())
    yield lab
    lab.close()


@contextlib.contextmanager
def worker_process(lab, name):
    host, port = lab.server.address
    command = [sys.executable, "-m", "tests.support.gearman_worker_process", host, str(port), name]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


def test_builds_survive_the_gearman_server_without_running_twice(lab):
    one, two = lab.worker("one", executors=2), lab.worker("two", executors=2)
    builds = [lab.start(lab.request("unit")) for _ in range(3)]
    runs = [lab.running(build) for build in builds]

    lab.server.kill()
    runs[0].release("FAILURE")
    lab.until(lambda: lab.results.outcome(builds[0].id))
    lab.server.start()
    lab.until(lambda: len(one.described) + len(two.described) >= 2)
    runs[1].release("SUCCESS")
    runs[2].release("UNSTABLE")

    assert [lab.answers(build) for build in builds] == [["started", "FAILURE"], ["started", "SUCCESS"], ["started", "UNSTABLE"]]
    assert [lab.runs(build) for build in builds] == [1, 1, 1]


def test_builds_that_wait_when_the_gearman_server_dies_run_on_the_next_one(lab):
    worker = lab.worker("one")
    first = lab.start(lab.request("unit"))
    run = lab.running(first)
    waiting = [lab.start(lab.request("unit")) for _ in range(3)]
    lab.queued(3)
    lab.server.kill()
    worker.instant = "SUCCESS"
    run.release()
    lab.server.start()
    for build in (first, *waiting):
        assert lab.answers(build) == ["started", "SUCCESS"]
        assert lab.runs(build) == 1


def test_a_build_asked_for_while_no_server_is_there_says_so_and_runs_later(lab):
    lab.worker("one", instant="SUCCESS")
    assert lab.answers(lab.start(lab.request("unit"))) == ["started", "SUCCESS"]
    lab.server.kill()
    build = lab.start(lab.request("integration"))
    assert "cannot be reached" in lab.stall(build)
    lab.server.start()
    assert lab.answers(build) == ["started", "SUCCESS"]


def test_a_build_stopped_while_no_server_is_there_is_cancelled_and_its_run_ended(lab):
    lab.worker("one")
    build = lab.start(lab.request("unit"))
    run = lab.running(build)
    lab.server.kill()
    lab.until(lambda: not lab.dispatcher._client.connected)
    lab.dispatcher.stop_build(build.id, "superseded")
    lab.server.start()
    assert lab.answers(build) == ["started", "CANCELED"]
    lab.until(run.over.is_set)


def test_a_build_is_found_again_when_only_our_connection_was_cut(lab):
    lab.worker("one", executors=3)
    build = lab.start(lab.request("unit"))
    run = lab.running(build)
    lab.dispatcher._client.break_connections()
    lab.until(lambda: lab.workers[0].described)
    run.release("FAILURE")
    assert lab.answers(build) == ["started", "FAILURE"]
    assert lab.runs(build) == 1


def test_a_watched_build_can_be_stopped(lab):
    lab.worker("one", executors=2)
    build = lab.start(lab.request("unit"))
    run = lab.running(build)
    lab.dispatcher._client.break_connections()
    lab.until(lambda: lab.workers[0].described)
    lab.dispatcher.stop_build(build.id, "superseded")
    assert lab.answers(build) == ["started", "CANCELED"]
    assert run.over.is_set()


def test_a_build_whose_worker_is_killed_is_lost_or_run_again(lab):
    with worker_process(lab, "doomed") as process:
        build = lab.start(lab.request("unit"))
        lab.until(lambda: any(type(event).__name__ == "BuildStarted" for event in lab.of(build)))
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    if isinstance(lab.server, EmbeddedServer):
        # the server tells that the worker has gone
        done = lab.done(build)
        assert done.result.value == "LOST"
        assert "doomed" in done.detail
        return
    # a C gearmand keeps the job, says nothing, and gives it to the next worker that knows it
    lab.worker("next", instant="SUCCESS")
    other = lab.start(lab.request("unit"))
    assert lab.answers(other) == ["started", "SUCCESS"]
    assert lab.answers(build) == ["started", "SUCCESS"]


def test_a_build_that_was_running_on_a_worker_that_never_comes_back_is_run_elsewhere(lab):
    with worker_process(lab, "doomed") as process:
        build = lab.start(lab.request("unit"))
        lab.until(lambda: any(type(event).__name__ == "BuildStarted" for event in lab.of(build)))
        lab.server.kill()
        process.kill()
        process.wait(30)
    lab.server.start()
    lab.worker("next", instant="SUCCESS")
    assert lab.answers(build) == ["started", "SUCCESS"]
    assert lab.runs(build) == 1


def test_a_build_whose_worker_is_gone_for_good_is_lost_in_the_end(lab, monkeypatch):
    monkeypatch.setattr("torii.dispatch.gearman._SWEEP", 0.3)
    lab.restart_dispatcher([])
    with worker_process(lab, "doomed") as process:
        build = lab.start(lab.request("unit"))
        lab.until(lambda: any(type(event).__name__ == "BuildStarted" for event in lab.of(build)))
        process.kill()
        process.wait(30)
    assert lab.answers(build) == ["started", "LOST"]
    assert "doomed" in lab.done(build).detail
    worker = lab.worker("next", instant="SUCCESS")
    assert lab.answers(lab.start(lab.request("unit"))) == ["started", "SUCCESS"]
    assert worker.run_of(build.id) is None


def test_builds_expected_after_a_restart_say_so_when_no_server_is_there(lab):
    lab.worker("one", instant="SUCCESS")
    lab.server.kill()
    build = lab.request("unit")
    lab.restart_dispatcher([build])
    assert lab.stall(build) == "no Gearman server can be reached"
    lab.server.start()
    assert lab.answers(build) == ["started", "SUCCESS"]


def test_a_worker_that_begins_anew_under_its_old_name_is_told_of_the_jobs_again(lab):
    first = lab.worker("same", instant="SUCCESS")
    assert lab.answers(lab.start(lab.request("unit"))) == ["started", "SUCCESS"]
    first.stop()
    second = lab.worker("same", instant="SUCCESS")
    assert lab.answers(lab.start(lab.request("unit"))) == ["started", "SUCCESS"]
    assert "app-unit" in second.defined


def test_a_definition_is_brought_to_a_new_worker_and_again_when_the_job_changes(lab):
    first = lab.worker("one", instant="SUCCESS")
    lab.answers(lab.start(lab.request("unit")))
    second = lab.worker("two", instant="SUCCESS")
    lab.until(lambda: "app-unit" in second.defined)
    assert first.defined["app-unit"]["xml"] == "<project>make test</project>"
    assert {worker.defined["app-unit"]["label"] for worker in (first, second)} == {None}


def test_definitions_that_nothing_uses_are_withdrawn(lab):
    lab.dispatcher.stop(5)
    lab.pace = replace(lab.pace, keep=0.5)
    lab.restart_dispatcher([])
    worker = lab.worker("one", instant="SUCCESS")
    lab.answers(lab.start(lab.request("unit")))
    assert "app-unit" in worker.defined
    lab.until(lambda: "app-unit" not in worker.defined)
    assert lab.answers(lab.start(lab.request("unit"))) == ["started", "SUCCESS"]


def test_a_job_that_cannot_be_rendered_is_answered_with_the_reason(lab):
    lab.library.broken = {"wrong": JobError("unit: '%%' is no node label"), "bad-template": OperatorError("job.xml.j2:3: no such macro")}
    wrong = lab.done(lab.start(lab.request("wrong")))
    assert (wrong.result.value, wrong.detail) == ("NOT_BUILT", "unit: '%%' is no node label")
    broken = lab.done(lab.start(lab.request("bad-template")))
    assert (broken.result.value, broken.detail) == ("LOST", "job.xml.j2:3: no such macro")


def test_a_stall_is_told_once_a_reason(lab):
    build = lab.start(lab.request("unit", label="gpu"))
    lab.stall(build)
    lab.worker("unfit", labels=["arm"])
    lab.until(lambda: "with labels arm" in lab.stall(build))
    lab.worker("fit", labels=["gpu"], instant="SUCCESS")
    lab.answers(build)
    reasons = [event.reason for event in lab.of(build) if isinstance(event, BuildStalled)]
    assert reasons[-1] == ""
    assert all(before != after for before, after in itertools.pairwise(reasons))


def test_a_thousand_builds_in_flight_survive_a_cut_connection(lab):
    worker = lab.worker("one", executors=2)
    builds = [lab.start(lab.request("unit")) for _ in range(1000)]
    runs = [lab.run_of(build) for build in builds if lab.until(lambda: len(worker.runs) >= 2) and build.id in {r.uuid for r in worker.runs}]
    lab.dispatcher._client.break_connections()
    worker.instant = "SUCCESS"
    for run in runs:
        run.release()
    for build in builds:
        assert lab.answers(build)[-1] == "SUCCESS"
        assert lab.runs(build) == 1


def test_it_lets_go_in_time_with_builds_running_and_the_server_gone(lab):
    lab.worker("one")
    lab.running(lab.start(lab.request("unit")))
    lab.server.kill()
    with within(5):
        lab.dispatcher.stop(5)
    names = {thread.name for thread in threading.enumerate()}
    assert not {name for name in names if name.startswith("dispatch") or name.endswith("-scheduler")}
