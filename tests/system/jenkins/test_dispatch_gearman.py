"""Builds through Jenkins' Gearman plug-in while everything around them breaks: each is answered once, and never runs twice for nothing."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from tests.support.gearman_servers import EmbeddedServer, Gearmand
from tests.support.jenkins_gearman_lab import JOB, JenkinsLab, changed
from torii.model.build import BuildRequest
from torii.model.event import BuildStalled, BuildStarted
from torii.model.ids import ChangeId
from torii.testing.jenkins import FakeNode, Words, job_xml

SERVERS = ["embedded", pytest.param("gearmand", marks=pytest.mark.needs("gearmand"))]
embedded_only = pytest.mark.parametrize("lab", SERVERS[:1], indirect=True)
gearmand_only = pytest.mark.parametrize("lab", SERVERS[1:], indirect=True)


@pytest.fixture(params=SERVERS)
def lab(request, tmp_path, monkeypatch):
    monkeypatch.setattr("torii.dispatch.gearman._SWEEP", 0.4)
    lab = JenkinsLab(EmbeddedServer() if request.param == "embedded" else Gearmand(), tmp_path)
    yield lab
    lab.close()


def embedded(lab: JenkinsLab) -> bool:
    return isinstance(lab.server, EmbeddedServer)


def started(lab: JenkinsLab, build: BuildRequest) -> list[BuildStarted]:
    return [event for event in lab.of(build) if isinstance(event, BuildStarted)]


def begun(lab: JenkinsLab, **changes: object) -> tuple[BuildRequest, object]:
    build = lab.start(lab.request("unit", **changes))
    return build, lab.running(build)


# What a build is told and tells.


def test_a_start_names_the_node_and_jenkins_own_page(lab):
    lab.worker("agent1")
    build, run = begun(lab)
    (told,) = started(lab, build)
    assert (told.node, told.number, told.url) == ("agent1", 1, f"{lab.fake.url}/job/{JOB}/1/")
    run.release()
    assert lab.done(build).url == f"http://torii.example.com/builds/{build.id}"


def test_the_log_is_brought_while_the_build_runs(lab):
    lab.worker()
    build, run = begun(lab)
    lab.fake.write(JOB, run.number, b"so far, so good\n")
    lab.until(lambda: "so far, so good" in lab.log(build))
    run.release()
    lab.done(build)
    assert "Finished: SUCCESS" in lab.log(build)


def test_a_build_in_jenkins_links_to_its_change_pipeline_and_log_with_everything_escaped(lab):
    lab.worker()
    _, run = begun(lab, change=ChangeId('app:main/<script>"&'), patchset="<2>")
    text = lab.until(lambda: run.build.description)
    assert "<script>" not in text
    assert "&lt;script&gt;&quot;&amp;, &lt;2&gt;</a>" in text
    assert 'href="http://torii.example.com/changes/app:main/%3Cscript%3E%22%26"' in text
    assert 'href="http://torii.example.com/">check</a>' in text
    assert f'href="http://torii.example.com/builds/{run.uuid}">log in Torii</a>' in text


@pytest.mark.parametrize("racy", [True, False])
def test_the_node_is_right_whatever_jenkins_says_of_it(lab, racy):
    lab.another("odd", racy=racy, named=False)
    lab.projects = {"app": ("odd",)}
    lab.restart_dispatcher([])
    lab.agent("odd", FakeNode("agent7", ("linux",), 2))
    for number in (1, 2):
        build = lab.start(lab.request("unit"))
        lab.running(build)
        (told,) = started(lab, build)
        assert (told.node, told.url) == ("agent7", f"{lab.fakes['odd'].url}/job/{JOB}/{number}/")


def test_what_somebody_aborts_in_jenkins_is_aborted(lab):
    lab.worker()
    build, run = begun(lab)
    lab.fake.stop_build(JOB, run.number)
    assert lab.answers(build) == ["started", "ABORTED"]


class Garbled(Words):
    """Says what nobody understands at the start of a build."""

    def data(self, facts):
        return [b"", b"\x00\xff\x00", b"[1]", b"{", json.dumps({**facts, "number": "many"}).encode(), b"[" * 100_000]


class Doubled(Words):
    def complete(self, facts):
        (said,) = super().complete(facts)
        return [said, said, json.dumps({**facts, "result": "FAILURE"}).encode()]


class Mute(Words):
    def complete(self, facts):
        return [b"{}"]


def test_garbage_at_the_start_is_survived_and_jenkins_asked_instead(lab):
    lab.worker()
    lab.fake.say(Garbled())
    build = lab.start(lab.request("unit"))
    run = lab.running(build)
    assert started(lab, build)[0].number == run.number
    run.release("UNSTABLE")
    assert lab.answers(build) == ["started", "UNSTABLE"]


def test_a_second_end_is_not_heard(lab):
    lab.worker(instant="SUCCESS")
    lab.fake.say(Doubled())
    builds = [lab.start(lab.request("unit")) for _ in range(5)]
    assert [lab.answers(build) for build in builds] == [["started", "SUCCESS"]] * 5


def test_an_end_that_says_nothing_is_looked_up(lab):
    lab.worker(instant="FAILURE")
    lab.fake.say(Mute())
    assert lab.answers(lab.start(lab.request("unit"))) == ["started", "FAILURE"]


def test_the_same_build_asked_for_twice_runs_once(lab):
    lab.worker(executors=2)
    build, run = begun(lab)
    lab.restart_dispatcher([build])
    lab.start(build)
    lab.until(lambda: started(lab, build))
    run.release()
    assert lab.answers(build) == ["started", "SUCCESS"]
    assert lab.runs(build) == 1


# Several controllers on one Gearman server.


@pytest.mark.parametrize("known", [True, False], ids=["by its address", "by asking"])
def test_which_controller_runs_a_build_is_found_out(lab, known):
    lab.another("second")
    lab.projects = {"app": ("ci", "second")}
    if not known:  # Jenkins go by other addresses than server.yml has for them
        for fake in lab.fakes.values():
            fake._plugin._root = fake._plugin._root.replace("127.0.0.1", "jenkins.example.com")
    lab.restart_dispatcher([])
    lab.agent("ci", FakeNode("near", ("arm",)))
    lab.agent("second", FakeNode("far", ("x86",)))
    for label, fake in (("arm", lab.fake), ("x86", lab.fakes["second"]), ("x86", lab.fakes["second"])):
        build = lab.start(lab.request("unit", label=label))
        run = lab.running(build)
        assert fake.find(build.id) is not None
        lab.until(lambda run=run: run.build.description)
        fake.write(JOB, run.number, b"here I am\n")
        run.release()
        assert lab.answers(build) == ["started", "SUCCESS"]
        assert "here I am" in lab.log(build)


def test_a_job_of_the_same_name_in_another_folder_is_not_taken_for_ours(lab):
    lab.worker(instant="SUCCESS")
    lab.fake.add_job(f"others/{JOB}", job_xml("true", parameters=["TORII_UUID"]))
    done = lab.done(lab.start(lab.request("unit")))
    assert done.result.value == "LOST"
    assert f"/job/others/job/{JOB}/1/" in done.detail
    lab.fake.delete_job(f"others/{JOB}")
    assert lab.answers(lab.start(lab.request("unit"))) == ["started", "SUCCESS"]


# Stopping.


def test_a_build_that_waits_in_jenkins_own_queue_is_cancelled_there(lab):
    lab.worker(executors=2)
    build, run = begun(lab)
    serial(lab)
    second = lab.start(lab.request("unit"))
    lab.fake.wait(lab.fake.queue)
    lab.dispatcher.stop_build(second.id, "superseded")
    assert lab.answers(second) == ["CANCELED"]
    lab.fake.wait(lambda: not lab.fake.queue())
    run.release()
    assert lab.answers(build) == ["started", "SUCCESS"]
    assert lab.runs(second) == 0


def test_a_build_of_which_only_jenkins_knows_is_stopped_there(lab):
    lab.worker(executors=2)
    build, run = begun(lab)
    lab.restart_dispatcher([build])
    lab.running(build)
    lab.dispatcher.stop_build(build.id, "superseded")
    assert lab.answers(build) == ["started", "CANCELED"]
    assert run.over.is_set()


def test_a_stop_goes_over_the_wire_while_the_api_is_down_and_is_answered(lab):
    lab.worker()
    build, run = begun(lab)
    lab.fake.down()
    lab.dispatcher.stop_build(build.id, "superseded")
    done = lab.done(build)
    assert (done.result.value, done.detail) == ("CANCELED", "superseded")
    assert run.over.is_set()


def test_a_build_that_is_stopped_the_moment_it_starts_is_cancelled_whatever_jenkins_calls_it(lab):
    lab.worker(instant="FAILURE")
    builds = [lab.start(lab.request("unit")) for _ in range(20)]
    for build in builds:
        lab.dispatcher.stop_build(build.id, "superseded")
    assert {lab.done(build).result.value for build in builds} <= {"CANCELED", "FAILURE"}
    lab.until(lambda: not lab.fake.running() and not lab.fake.queue())


# Losing agents, controllers and servers.


def test_a_build_whose_agent_is_killed_is_lost_and_not_run_again_behind_our_back(lab):
    lab.worker("doomed")
    build, _ = begun(lab)
    lab.fake.kill_node("doomed")
    done = lab.done(build)
    assert done.result.value == "LOST"
    assert "doomed" in done.detail
    lab.fake.revive_node("doomed")
    other = lab.start(lab.request("unit"))
    lab.running(other).release()
    assert lab.answers(other) == ["started", "SUCCESS"]
    assert lab.runs(build) == 1


@gearmand_only
def test_a_build_that_a_gearmand_gives_out_again_is_the_same_build_run_again(lab):
    lab.worker("doomed")
    build, run = begun(lab)
    lab.until(lambda: "doomed" in lab.log(build))
    lab.fake.kill_node("doomed")
    lab.fake.revive_node("doomed")
    lab.until(lambda: len(started(lab, build)) == 2)
    again = lab.run_of(build)
    assert [event.number for event in started(lab, build)] == [run.number, again.number] == [1, 2]
    again.release("UNSTABLE")
    assert lab.answers(build) == ["started", "started", "UNSTABLE"]
    assert f"{JOB} #2" in lab.log(build)


@pytest.mark.parametrize("kill", [True, False], ids=["SIGKILL", "SIGTERM"])
def test_a_build_whose_jenkins_goes_is_lost_or_run_again(lab, kill):
    lab.worker()
    build, run = begun(lab)
    lab.fake.restart(kill=kill)
    if embedded(lab):
        assert lab.answers(build) == ["started", "LOST"]
        assert "was lost while it ran the build" in lab.done(build).detail
        return
    lab.until(lambda: len(started(lab, build)) == 2)
    again = lab.run_of(build)
    assert again.number == run.number + 1
    again.release()
    assert lab.answers(build) == ["started", "started", "SUCCESS"]


@pytest.mark.parametrize("kill", [True, False], ids=["SIGKILL", "SIGTERM"])
def test_while_a_jenkins_is_away_with_a_build_the_item_says_so(lab, kill):
    lab.worker()
    build, _ = begun(lab)
    lab.fake.end(kill)
    assert "Jenkins 'ci'" in lab.until(lambda: lab.stall(build))
    lab.fake.boot()
    if embedded(lab):
        assert lab.answers(build) == ["started", "LOST"]
    else:
        lab.until(lambda: lab.run_of(build) if len(started(lab, build)) == 2 else None).release()
        assert lab.answers(build) == ["started", "started", "SUCCESS"]


def test_a_build_goes_on_though_its_workers_connection_broke(lab):
    lab.worker("one")
    build, run = begun(lab)
    lab.fake.cut_gearman()
    if embedded(lab):
        lab.until(lambda: lab.fake.requests("computer"))
        run.release("FAILURE")
        assert lab.answers(build) in (["started", "FAILURE"], ["started", "LOST"])  # LOST where it ended in the moment of the loss
    else:
        lab.fake.instant("SUCCESS")  # should the server give it out again
        run.release("SUCCESS")
        assert lab.answers(build)[-1] == "SUCCESS"


@embedded_only
def test_a_build_whose_worker_was_lost_long_before_its_end_has_its_own_result(lab, monkeypatch):
    monkeypatch.setattr("torii.dispatch.verdict._MARGIN", 0.0)
    lab.worker("one", executors=2)
    build, run = begun(lab)
    lab.fake.cut_gearman()
    looks = len(lab.fake.requests("computer"))
    lab.until(lambda: len(lab.fake.requests("computer")) > looks + 3)
    run.release("FAILURE")
    assert lab.answers(build) == ["started", "FAILURE"]
    assert lab.runs(build) == 1


@gearmand_only
def test_an_earlier_run_that_still_goes_on_is_ended_when_the_build_is_run_again(lab):
    lab.worker("one")
    lab.worker("two")
    build, run = begun(lab)
    lab.fake.cut_gearman()
    lab.until(lambda: len(started(lab, build)) == 2)
    lab.until(run.over.is_set)
    lab.run_of(build).release("UNSTABLE")
    assert lab.answers(build) == ["started", "started", "UNSTABLE"]


def test_what_ended_while_the_gearman_server_was_away_is_told_by_the_api(lab):
    lab.worker("one", executors=3)
    builds = [lab.start(lab.request("unit")) for _ in range(3)]
    runs = [lab.running(build) for build in builds]
    lab.server.kill()
    runs[0].release("FAILURE")
    assert lab.answers(builds[0]) == ["started", "FAILURE"]
    lab.server.start()
    runs[1].release("SUCCESS")
    runs[2].release("UNSTABLE")
    assert [lab.answers(build) for build in builds[1:]] == [["started", "SUCCESS"], ["started", "UNSTABLE"]]
    assert [lab.runs(build) for build in builds] == [1, 1, 1]


def test_builds_that_wait_when_the_gearman_server_dies_run_on_the_next_one(lab):
    lab.worker("one")
    build, run = begun(lab)
    waiting = [lab.start(lab.request("unit")) for _ in range(3)]
    lab.queued(3)
    lab.server.kill()
    lab.fake.instant()
    run.release()
    lab.server.start()
    for each in (build, *waiting):
        assert lab.answers(each) == ["started", "SUCCESS"]
        assert lab.runs(each) == 1


def test_many_builds_survive_a_cut_connection_of_ours(lab):
    lab.worker("one", executors=4)
    builds = [lab.start(lab.request("unit")) for _ in range(60)]
    lab.fake.wait(lambda: len(lab.fake.running()) == 4)
    lab.dispatcher._client.break_connections()
    lab.fake.instant()
    lab.fake.release_all()
    for build in builds:
        assert lab.answers(build)[-1] == "SUCCESS"
        assert lab.runs(build) == 1


def test_gearman_and_jenkins_both_gone_is_a_loss_in_the_end(lab):
    lab.worker("one")
    build, _ = begun(lab)
    lab.server.kill()
    lab.fake.end(kill=True)
    assert "Jenkins 'ci'" in lab.until(lambda: lab.stall(build))
    lab.server.start()
    lab.fake.boot()
    assert lab.answers(build) == ["started", "LOST"]


# What people do in Jenkins meanwhile.


def serial(lab: JenkinsLab) -> None:
    """Have the job run one build at a time, as somebody may set it by hand: others wait in Jenkins' own queue then."""
    xml = lab.fake.jobs[JOB].xml
    assert b"<concurrentBuild>true<" in xml
    lab.fake.add_job(JOB, xml.replace(b"<concurrentBuild>true<", b"<concurrentBuild>false<"))


def test_a_build_that_is_cancelled_in_jenkins_queue_is_lost_with_a_reason(lab):
    lab.worker(executors=2)
    build, run = begun(lab)
    serial(lab)
    second = lab.start(lab.request("unit"))
    (item,) = lab.fake.wait(lab.fake.queue)
    with lab.fake.core.lock:
        lab.fake.core.cancel(item)
    done = lab.done(second)
    assert done.result.value == "LOST"
    assert "before it began" in done.detail
    run.release()
    assert lab.answers(build) == ["started", "SUCCESS"]


def test_a_job_that_is_deleted_in_a_build_loses_the_build(lab):
    lab.worker()
    build, _ = begun(lab)
    lab.fake.delete_job(JOB)
    done = lab.done(build)
    assert done.result.value in ("LOST", "ABORTED")
    other = lab.start(lab.request("unit"))
    lab.running(other).release()
    assert lab.answers(other) == ["started", "SUCCESS"]


def test_a_build_that_is_deleted_before_its_result_was_read_has_the_result_of_the_wire(lab):
    lab.worker()
    build, run = begun(lab)
    lab.fake.down()
    run.release("UNSTABLE")
    assert "Jenkins 'ci'" in lab.until(lambda: lab.stall(build))
    lab.fake.delete_build(JOB, run.number)
    lab.fake.up()
    assert lab.answers(build) == ["started", "UNSTABLE"]


def test_while_jenkins_is_down_a_result_that_is_due_is_waited_for_and_the_item_says_so(lab):
    lab.worker()
    build, run = begun(lab)
    lab.fake.down()
    run.release("FAILURE")
    assert "Jenkins 'ci'" in lab.until(lambda: lab.stall(build))
    lab.fake.up()
    assert lab.answers(build) == ["started", "FAILURE"]


# Torii starts anew.


def test_a_restart_while_jenkins_is_down_waits_for_its_word(lab):
    lab.worker(executors=2)
    build, run = begun(lab)
    own = lab.start(changed())
    lab.running(own)
    lab.dispatcher.stop(5)
    lab.fake.down()
    lab.restart_dispatcher([build, own])
    assert "Jenkins 'ci'" in lab.until(lambda: lab.stall(build))
    run.release("FAILURE")
    lab.fake.up()
    lab.running(own).release()
    assert lab.answers(build) == ["FAILURE"]
    assert lab.answers(own) == ["started", "SUCCESS"]
    assert [lab.runs(each) for each in (build, own)] == [1, 1]


def test_a_build_in_jenkins_queue_is_found_after_a_restart_and_not_asked_for_again(lab):
    lab.worker(executors=2)
    build, run = begun(lab)
    serial(lab)
    second = lab.start(lab.request("unit"))
    lab.fake.wait(lab.fake.queue)
    lab.restart_dispatcher([build, second])
    lab.running(build)
    run.release()
    assert lab.answers(build) == ["started", "SUCCESS"]
    lab.running(second).release("UNSTABLE")
    assert lab.answers(second) == ["started", "UNSTABLE"]
    assert lab.runs(second) == 1


def test_it_lets_go_in_time_with_a_jenkins_that_hangs(lab):
    lab.worker()
    begun(lab)
    lab.fake.fault("slow", "", 1000, seconds=20)
    lab.dispatcher.stop(2)
    assert not {
        thread.name for thread in threading.enumerate() if thread.name in ("dispatch", "dispatch-definitions", "dispatch-jenkins-jobs")
    }
    assert not any(isinstance(event, BuildStalled) and event.reason for event in lab.events)


def test_a_project_without_controllers_of_its_own_is_not_jenkins(lab):
    lab.projects = {"app": ()}
    lab.restart_dispatcher([])
    lab.worker()
    assert "no worker has registered" in lab.stall(lab.start(lab.request("unit")))


def test_settings_of_several_projects_are_kept_apart(lab):
    lab.projects = {"app": ("ci",), "tool": ()}
    lab.restart_dispatcher([])
    lab.worker(instant="SUCCESS")
    request = lab.request("unit")
    assert lab.answers(lab.start(request)) == ["started", "SUCCESS"]
    assert "no worker has registered" in lab.stall(lab.start(replace(lab.request("unit"), project="tool")))
