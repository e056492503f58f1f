"""One suite for every dispatcher: a backend's test file is this class with a fixture, and nothing else."""

from __future__ import annotations

import pytest

from tests.support.dispatch_lab import DispatchLab, build_request
from torii.model.event import BuildDone, BuildStarted
from torii.model.pipeline import Precedence


class DispatcherContract:
    """Subclasses give `lab`: a running backend whose builds run until released, and the events it has sent."""

    def test_a_build_is_answered_by_its_start_and_its_end(self, lab: DispatchLab):
        worker = lab.worker()
        build = lab.start(lab.request("unit"))
        lab.running(build).release("FAILURE")
        assert lab.answers(build) == ["started", "FAILURE"]
        started = next(event for event in lab.of(build) if isinstance(event, BuildStarted))
        assert started.node.startswith(worker.name)
        assert started.number == 1

    def test_a_build_started_twice_runs_once(self, lab: DispatchLab):
        lab.worker(executors=2)
        build = lab.request("unit")
        lab.dispatcher.start(build)
        lab.dispatcher.start(build)
        lab.running(build).release()
        assert lab.answers(build) == ["started", "SUCCESS"]
        lab.dispatcher.start(build)
        other = lab.start(lab.request("unit"))
        lab.running(other).release()
        assert lab.answers(other) == ["started", "SUCCESS"]
        assert lab.runs(build) == 1
        assert lab.answers(build) == ["started", "SUCCESS"]

    def test_what_jenkins_calls_a_result_is_what_is_answered(self, lab: DispatchLab):
        lab.worker()
        for result in ("SUCCESS", "FAILURE", "UNSTABLE", "ABORTED"):
            build = lab.start(lab.request("unit"))
            lab.running(build).release(result)
            assert lab.answers(build) == ["started", result]

    def test_parameters_arrive_whole_whatever_is_in_them(self, lab: DispatchLab):
        lab.worker(instant="SUCCESS")
        nasty = "two\nlines; \"quoted\" 'twice' $(reboot) \\ \t \u2028 \u00e9 -rf"
        build = lab.start(lab.request("unit", variables=(("NASTY", nasty),), branch='we"ird;b\n'))
        assert lab.answers(build)[-1] == "SUCCESS"
        parameters = lab.run_of(build).parameters
        assert parameters["NASTY"] == nasty
        assert parameters["TORII_BRANCH"] == 'we"ird;b\n'
        assert parameters["TORII_UUID"] == build.id
        assert parameters["TORII_URL"] == "https://git.example.com/app"

    def test_a_parameter_that_no_environment_can_carry_is_refused_with_a_reason(self, lab: DispatchLab):
        lab.worker()
        build = lab.start(lab.request("unit", variables=(("NUL", "a\x00b"),)))
        done = lab.done(build)
        assert done.result.value == "NOT_BUILT"
        assert "NUL" in done.detail

    def test_a_waiting_build_that_is_stopped_is_cancelled_and_never_runs(self, lab: DispatchLab):
        lab.worker()
        first = lab.start(lab.request("unit"))
        run = lab.running(first)
        second = lab.start(lab.request("unit"))
        lab.queued(1)
        lab.dispatcher.stop_build(second.id, "no longer wanted")
        done = lab.done(second)
        assert done.result.value == "CANCELED"
        assert done.detail == "no longer wanted"
        run.release()
        third = lab.start(lab.request("unit"))
        lab.running(third).release()
        assert lab.answers(third) == ["started", "SUCCESS"]
        assert lab.runs(second) == 0

    def test_a_running_build_that_is_stopped_ends_on_its_worker_and_is_cancelled(self, lab: DispatchLab):
        lab.worker()
        build = lab.start(lab.request("unit"))
        run = lab.running(build)
        lab.dispatcher.stop_build(build.id, "superseded")
        assert lab.answers(build) == ["started", "CANCELED"]
        assert run.over.is_set()

    def test_a_build_stopped_before_it_is_known_to_run_ends_all_the_same(self, lab: DispatchLab):
        lab.worker()
        builds = [lab.start(lab.request("unit")) for _ in range(5)]
        for build in builds:
            lab.dispatcher.stop_build(build.id, "superseded")
        assert {lab.done(build).result.value for build in builds} == {"CANCELED"}
        lab.until(lambda: all(run.over.is_set() for run in list(lab.workers[0].runs)))

    def test_stopping_what_is_unknown_or_over_does_nothing(self, lab: DispatchLab):
        lab.worker(instant="SUCCESS")
        build = lab.start(lab.request("unit"))
        assert lab.answers(build) == ["started", "SUCCESS"]
        lab.dispatcher.stop_build(build.id, "too late")
        lab.dispatcher.stop_build(build_request().id, "who?")
        assert lab.answers(lab.start(lab.request("unit"))) == ["started", "SUCCESS"]
        assert lab.answers(build) == ["started", "SUCCESS"]

    def test_a_job_that_nobody_knows_stalls_with_a_reason_and_goes_on_when_somebody_does(self, lab: DispatchLab):
        build = lab.start(lab.request("unit", label="gpu"))
        assert "gpu" in lab.stall(build)
        lab.worker("plain", labels=["linux"])
        lab.until(lambda: "gpu" in lab.stall(build))
        lab.worker("mighty", labels=["gpu", "linux"])
        lab.running(build).release()
        assert lab.answers(build) == ["started", "SUCCESS"]
        assert lab.stall(build) == ""

    def test_a_stalled_build_that_is_stopped_never_runs(self, lab: DispatchLab):
        build = lab.start(lab.request("unit"))
        lab.stall(build)
        lab.dispatcher.stop_build(build.id, "nobody came")
        assert lab.answers(build) == ["CANCELED"]
        lab.worker(instant="SUCCESS")
        lab.answers(lab.start(lab.request("unit")))
        assert lab.runs(build) == 0

    def test_a_waiting_build_says_so_when_its_last_worker_leaves(self, lab: DispatchLab):
        worker = lab.worker()
        first = lab.start(lab.request("unit"))
        run = lab.running(first)
        second = lab.start(lab.request("unit"))
        lab.queued(1)
        lab.leave(worker, run)
        lab.until(lambda: lab.stall(second))

    def test_a_build_that_has_ended_is_answered_and_not_run(self, lab: DispatchLab):
        lab.worker()
        build = lab.request("unit")
        lab.record(build, "SUCCESS")
        lab.start(build)
        assert lab.answers(build) == ["SUCCESS"]
        assert lab.runs(build) == 0

    def test_what_ended_while_nobody_listened_is_still_answered(self, lab: DispatchLab):
        lab.worker()
        build = lab.start(lab.request("unit"))
        run = lab.running(build)
        lab.dispatcher.stop(5)
        run.release("FAILURE")
        lab.over(build, run)
        lab.restart_dispatcher([build])
        assert lab.answers(build) == ["FAILURE"]
        assert lab.runs(build) == 1

    def test_what_still_runs_after_a_restart_is_found_again_and_not_run_twice(self, lab: DispatchLab):
        lab.worker("one", executors=2)
        build = lab.start(lab.request("unit"))
        run = lab.running(build)
        lab.worker("two", executors=2)
        lab.restart_dispatcher([build])
        lab.running(build)
        run.release("SUCCESS")
        assert lab.answers(build) == ["started", "SUCCESS"]
        assert lab.runs(build) == 1

    @pytest.mark.parametrize("expected", [True, False], ids=["expected", "forgotten"])
    def test_what_still_runs_after_a_restart_and_is_not_wanted_ends_on_its_worker(self, lab: DispatchLab, expected: bool):
        lab.worker()
        build = lab.start(lab.request("unit"))
        run = lab.running(build)
        lab.restart_dispatcher([build] if expected else [])
        lab.dispatcher.stop_build(build.id, "superseded")
        assert lab.done(build).result.value == "CANCELED"
        lab.until(run.over.is_set)

    def test_what_was_never_started_before_a_restart_is_started_after_it(self, lab: DispatchLab):
        lab.worker(instant="SUCCESS")
        build = lab.request("unit")
        lab.restart_dispatcher([build])
        assert lab.answers(build) == ["started", "SUCCESS"]

    def test_higher_precedence_goes_first(self, lab: DispatchLab):
        worker = lab.worker()
        first = lab.start(lab.request("unit"))
        run = lab.running(first)
        waiting = {}
        for count, precedence in enumerate((Precedence.LOW, Precedence.NORMAL, Precedence.HIGH), start=1):
            build = lab.start(lab.request("unit", precedence=precedence))
            waiting[build.id] = precedence.value
            lab.queued(count)
        worker.instant = "SUCCESS"
        run.release()
        for build in list(waiting):
            lab.done(lab.requests[build])
        assert [waiting[run.uuid] for run in worker.runs[1:]] == ["high", "normal", "low"]

    def test_many_builds_at_once_are_each_answered_once(self, lab: DispatchLab):
        lab.worker(instant="SUCCESS", executors=3)
        builds = [lab.start(lab.request("unit")) for _ in range(lab.many)]
        for build in builds:
            assert lab.answers(build) == ["started", "SUCCESS"]
        assert sum(isinstance(event, BuildDone) for event in lab.events) == lab.many
