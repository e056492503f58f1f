"""Builds over Jenkins' REST API keep the contract of dispatchers, but for what only Gearman has."""

from __future__ import annotations

import pytest

from tests.contract.dispatcher import DispatcherContract
from tests.support.rest_lab import RestLab
from torii.model.event import BuildDone


class TestOverRest(DispatcherContract):
    """What is None here is of words on Gearman's wire, which nobody speaks over REST, or of an order that only Gearman's queue keeps."""

    test_nonsense_from_a_worker_is_survived = None
    test_an_end_without_a_result_is_no_success = None
    test_a_second_end_of_a_build_is_not_heard = None
    test_higher_precedence_goes_first = None

    @pytest.fixture
    def lab(self, tmp_path):
        lab = RestLab(tmp_path)
        yield lab
        lab.close()

    def test_a_build_whose_worker_refuses_it_is_lost_with_the_workers_reason(self, lab):
        """Over REST that is somebody who takes it out of the queue."""
        build = lab.start(lab.request("unit"))
        lab.queued(1)
        with lab.fake.core.lock:
            lab.fake.core.cancel(lab.fake.queue()[0])
        done = lab.done(build)
        assert (done.result.value, done.detail) == ("LOST", "it was taken out of Jenkins' queue")

    def test_a_worker_that_is_deaf_to_stop_holds_nobody_up_for_ever(self, lab, monkeypatch):
        monkeypatch.setattr("torii.dispatch.rest._STOP_PAUSE", 0.1)
        lab.worker()
        lab.fake.core.interrupt = lambda *_: None
        build = lab.start(lab.request("unit"))
        lab.running(build)
        lab.dispatcher.stop_build(build.id, "superseded")
        done = lab.done(build)
        assert (done.result.value, done.detail) == ("CANCELED", "superseded; the Jenkins ci did not end it")

    def test_a_job_that_nobody_knows_stalls_with_a_reason_and_goes_on_when_somebody_does(self, lab):
        build = lab.start(lab.request("unit", label="gpu"))
        assert lab.stall(build) == "it waits in the queue of the Jenkins ci: There are no nodes with the label ‘gpu’"  # noqa: RUF001
        lab.worker("mighty", labels=["gpu", "linux"])
        lab.running(build).release()
        assert lab.answers(build) == ["started", "SUCCESS"]
        assert lab.stall(build) == ""

    def test_a_waiting_build_says_so_when_its_last_worker_leaves(self, lab):
        worker = lab.worker()
        first = lab.start(lab.request("unit", label="node"))
        run = lab.running(first)
        second = lab.start(lab.request("unit", label="node"))
        lab.queued(1)
        worker.stop()
        run.release()
        assert "‘node’ is offline" in lab.stall(second)  # noqa: RUF001

    def test_the_record_that_a_worker_left_says_more_than_the_wire(self, lab):
        """Over REST it is the gatherer that writes it."""
        lab.worker()
        build = lab.start(lab.request("unit"))
        lab.running(build).release("FAILURE")
        done = lab.done(build)
        assert done.duration == pytest.approx(lab.run_of(build).build.duration, abs=0.01)
        assert lab.results.outcome(build.id).result is done.result
        assert done.url and done.url.startswith("http://torii.example.com/builds/")

    def test_what_ended_while_nobody_listened_is_still_answered(self, lab):
        lab.worker()
        build = lab.start(lab.request("unit"))
        run = lab.running(build)
        lab.let_go()
        run.release("FAILURE")
        lab.restart_dispatcher([build])
        assert lab.answers(build) == ["started", "FAILURE"]
        assert lab.runs(build) == 1
        assert sum(isinstance(event, BuildDone) for event in lab.of(build)) == 1
