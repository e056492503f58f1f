from __future__ import annotations

import pytest

from tests.contract.dispatcher import DispatcherContract
from tests.support.dispatch_lab import DispatchLab
from tests.support.gearman_servers import EmbeddedServer, Gearmand
from torii.model.build import FileComment


class OnScriptedWorkers(DispatcherContract):
    """What a worker may say that knows no better."""

    def test_a_build_whose_worker_refuses_it_is_lost_with_the_workers_reason(self, lab: DispatchLab):
        worker = lab.worker()
        worker.first_word = lambda run, facts: run.request.sendWorkException(b"no room\nat all")
        build = lab.start(lab.request("unit"))
        run = lab.run_of(build)
        done = lab.done(build)
        run.release()  # after the answer: what it leaves behind then is no outcome that could be found first
        assert done.result.value == "LOST"

    def test_a_worker_that_is_deaf_to_stop_holds_nobody_up_for_ever(self, lab: DispatchLab, monkeypatch):
        monkeypatch.setattr("torii.dispatch.gearman._STOP_PAUSE", 0.1)
        lab.worker().deaf_to_stop = True
        build = lab.start(lab.request("unit"))
        lab.running(build)
        lab.dispatcher.stop_build(build.id, "superseded")
        done = lab.done(build)
        assert done.result.value == "CANCELED"
        assert "did not answer" in done.detail

    def test_nonsense_from_a_worker_is_survived(self, lab: DispatchLab):
        worker = lab.worker()

        def babble(run, facts):
            for noise in (b"", b"\x00\xff\x00", b"[1]", b"{", b'{"name": 1, "number": [], "manager": {}}', b"[" * 100_000):
                run.request.sendWorkData(noise)
            run.request.sendWorkData(facts)
            run.request.sendWorkData(facts)

        worker.first_word = babble
        build = lab.start(lab.request("unit"))
        lab.running(build).release()
        assert lab.answers(build) == ["started", "SUCCESS"]

    def test_an_end_without_a_result_is_no_success(self, lab: DispatchLab):
        lab.worker("jenkins", torii=False, jobs=["app-unit"])
        build = lab.start(lab.request("unit"))
        lab.running(build).release(last_word=lambda run: run.request.sendWorkComplete(b'{"result": "MARVELLOUS"}'))
        assert lab.answers(build) == ["started", "LOST"]

    def test_a_second_end_of_a_build_is_not_heard(self, lab: DispatchLab):
        lab.worker(executors=1)
        build = lab.start(lab.request("unit"))
        run = lab.running(build)

        def twice(run):
            run.request.sendWorkComplete(b'{"result": "SUCCESS"}')
            run.request.answered = False
            run.request.sendWorkComplete(b'{"result": "FAILURE"}')

        run.release(last_word=twice)
        other = lab.start(lab.request("unit"))
        lab.running(other).release()
        assert lab.answers(other) == ["started", "SUCCESS"]
        assert lab.answers(build) == ["started", "SUCCESS"]

    def test_the_record_that_a_worker_left_says_more_than_the_wire(self, lab: DispatchLab):
        lab.worker(instant="FAILURE")
        done = lab.done(lab.start(lab.request("unit")))
        assert (done.duration, done.detail) == (1.5, "as recorded")
        assert done.comments == (FileComment("a.py", "as commented", 3),)
        assert done.url and done.url.startswith("http://torii.example.com/builds/")

    def test_the_result_on_the_wire_counts_where_a_worker_leaves_no_record(self, lab: DispatchLab):
        lab.worker("jenkins", torii=False, jobs=["app-unit"])
        for result in ("SUCCESS", "FAILURE", "UNSTABLE", "ABORTED"):
            build = lab.start(lab.request("unit"))
            lab.running(build).release(result)
            assert lab.answers(build) == ["started", result]

    def test_a_stall_says_which_function_is_missing_and_who_is_there(self, lab: DispatchLab):
        build = lab.start(lab.request("unit", label="gpu"))
        assert lab.stall(build) == "no worker has registered build:app-unit:gpu; no worker is connected"
        lab.worker("plain", labels=["linux"])
        lab.until(lambda: lab.stall(build).endswith("; a worker with labels linux is connected"))


class TestOnTheEmbeddedServer(OnScriptedWorkers):
    @pytest.fixture
    def lab(self):
        lab = DispatchLab(EmbeddedServer())
        yield lab
        lab.close()


@pytest.mark.needs("gearmand")
class TestOnGearmand(OnScriptedWorkers):
    @pytest.fixture
    def lab(self):
        lab = DispatchLab(Gearmand())
        yield lab
        lab.close()
