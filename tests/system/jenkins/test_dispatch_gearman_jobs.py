"""How the job of each build comes into Jenkins before it, and how a change's own is taken away after it."""

from __future__ import annotations

import html
from dataclasses import replace

import pytest

from tests.support.dispatch_lab import KEY, build_request
from tests.support.gearman_servers import EmbeddedServer, Gearmand
from tests.support.gearman_worker import ScriptedWorker
from tests.support.jenkins_gearman_lab import JENKINS_PACE, JOB, JenkinsLab, changed
from torii.gearman.admin import functions
from torii.jobs import job_name
from torii.jobs.marks import mark_of, marked, read_mark
from torii.model.event import BuildStalled
from torii.model.ids import ProjectName
from torii.model.job import JobDefinition
from torii.testing.jenkins import FakeNode, job_xml


@pytest.fixture(params=["embedded", pytest.param("gearmand", marks=pytest.mark.needs("gearmand"))])
def lab(request, tmp_path, monkeypatch):
    monkeypatch.setattr("torii.dispatch.gearman._SWEEP", 0.3)
    lab = JenkinsLab(EmbeddedServer() if request.param == "embedded" else Gearmand(), tmp_path)
    yield lab
    lab.close()


def with_script(text, **changes):
    request = build_request(**changes)
    return replace(request, job=replace(request.job, run=text))


def asked(lab, what):
    return [target for method, target in lab.fake.requests(what) if method == "POST"]


def test_a_missing_job_is_made_with_its_mark_and_looked_for_once(lab):
    lab.worker(instant="SUCCESS")
    for _ in range(5):
        assert lab.answers(lab.start(lab.request("unit"))) == ["started", "SUCCESS"]
    mark = read_mark(html.unescape(lab.fake.jobs[JOB].xml.decode()))
    assert mark is not None
    assert (mark.owner, mark.project, mark.branch, mark.job, mark.copy_of_instance) == ("torii", "app", "main", "unit", "")
    assert len(asked(lab, "createItem")) == 1
    assert len(lab.fake.requests("tree=jobs")) == 1


def test_a_job_that_differs_is_made_right_before_its_build(lab):
    lab.worker(instant="SUCCESS")
    lab.answers(lab.start(with_script("make old")))
    assert lab.answers(lab.start(with_script("make new"))) == ["started", "SUCCESS"]
    assert list(lab.fake.jobs) == [JOB]
    assert b"make new" in lab.fake.jobs[JOB].xml
    lab.restart_dispatcher([])
    assert lab.answers(lab.start(with_script("make newest"))) == ["started", "SUCCESS"]
    assert b"make newest" in lab.fake.jobs[JOB].xml


def test_nobodys_job_is_changed_under_them(lab):
    lab.worker(executors=2)
    old = lab.start(with_script("make old"))
    run = lab.running(old)
    new = lab.start(with_script("make new"))
    other = lab.running(new)
    assert b"make old" in lab.fake.jobs[JOB].xml
    assert other.build.job.name.startswith(f"{JOB}--x")
    assert b"make new" in other.build.job.xml
    run.release()
    other.release()
    assert [lab.answers(build)[-1] for build in (old, new)] == ["SUCCESS", "SUCCESS"]
    last = lab.start(with_script("make new"))
    assert lab.running(last).build.job.name == JOB


def test_what_a_job_says_beyond_its_steps_makes_no_other_job_of_it(lab):
    lab.worker(executors=2)
    first, second = build_request(), build_request()
    second = replace(second, job=replace(second.job, attempts=7, voting=False))
    for request in (first, second):
        lab.start(request)
    assert [lab.running(request).build.job.name for request in (first, second)] == [JOB, JOB]


@pytest.mark.parametrize("deed", ["disable_job", "delete_job"])
def test_a_job_that_somebody_spoilt_by_hand_is_made_right(lab, deed):
    lab.worker(instant="SUCCESS")
    lab.answers(lab.start(lab.request("unit")))
    getattr(lab.fake, deed)(JOB)
    assert lab.answers(lab.start(lab.request("unit"))) == ["started", "SUCCESS"]


def test_a_job_that_somebody_renamed_by_hand_is_made_anew(lab):
    lab.worker(instant="SUCCESS")
    lab.answers(lab.start(lab.request("unit")))
    lab.fake.rename_job(JOB, "renamed")
    assert lab.answers(lab.start(lab.request("unit"))) == ["started", "SUCCESS"]
    assert set(lab.fake.jobs) == {JOB, "renamed"}


@pytest.mark.parametrize("deed", ["disable_job", "delete_job"])
def test_a_job_that_somebody_spoils_while_a_build_waits_is_made_right(lab, deed):
    lab.worker()
    first = lab.start(lab.request("unit"))
    run = lab.running(first)
    second = lab.start(lab.request("unit"))
    lab.queued(1)
    lab.fake.instant()
    getattr(lab.fake, deed)(JOB)
    run.release()
    assert lab.answers(second)[-1] in ("SUCCESS", "LOST")  # LOST, run again: a worker had it in hand already
    assert lab.fake.jobs[JOB].buildable


def test_a_job_of_somebody_elses_is_not_touched_and_both_are_named(lab):
    lab.worker(instant="SUCCESS")
    theirs = job_xml("echo theirs")
    lab.fake.add_job(JOB, theirs)
    build = lab.start(lab.request("unit"))
    reason = lab.stall(build)
    assert JOB in reason
    assert "did not make" in reason
    assert "job unit of app" in reason
    assert b"echo theirs" in lab.fake.jobs[JOB].xml
    lab.fake.rename_job(JOB, "theirs")
    assert lab.answers(build) == ["started", "SUCCESS"]
    assert b"echo theirs" in lab.fake.jobs["theirs"].xml


def test_a_job_of_another_torii_is_not_touched(lab):
    lab.worker(instant="SUCCESS")
    lab.answers(lab.start(lab.request("unit")))
    before = lab.fake.jobs[JOB].xml
    lab.settings["ci"] = replace(lab.settings["ci"], owner="another")
    lab.restart_dispatcher([])
    assert "'torii'" in lab.stall(lab.start(lab.request("unit")))
    assert lab.fake.jobs[JOB].xml == before


def test_a_changes_own_job_is_a_copy_that_is_waited_for_used_and_removed(lab):
    lab.dispatcher.stop(5)
    lab.pace = replace(JENKINS_PACE, keep_copy=0.4, tidy=0.1)
    lab.restart_dispatcher([])
    lab.worker(executors=2)
    lab.fake.add_job("by-hand", job_xml("true"))
    own = lab.start(changed())
    run = lab.running(own)
    copy = run.build.job.name
    assert copy.startswith(f"{JOB}--x")
    assert lab.library.rendered(own).name == copy
    again = lab.start(changed())
    assert lab.running(again).build.job.name == copy
    run.release()
    assert lab.answers(own) == ["started", "SUCCESS"]
    lab.fake.wait(lambda: len(lab.fake.requests("tree=jobs")) >= 1)
    assert copy in lab.fake.jobs  # another build needs it
    lab.run_of(again).release()
    assert lab.answers(again) == ["started", "SUCCESS"]
    lab.until(lambda: copy not in lab.fake.jobs)
    assert "by-hand" in lab.fake.jobs
    third = lab.start(changed())
    lab.running(third).release("UNSTABLE")
    assert lab.answers(third) == ["started", "UNSTABLE"]


def test_copies_that_a_crash_left_are_removed_and_those_of_another_torii_stay(lab):
    lab.worker(instant="SUCCESS")
    mine = lab.start(changed("make mine"))
    lab.answers(mine)
    lab.instance = "other"
    lab.restart_dispatcher([])
    theirs = lab.start(changed("make theirs"))
    lab.answers(theirs)
    lab.instance = "k3f9"
    lab.dispatcher.stop(5)
    lab.pace = replace(JENKINS_PACE, keep_copy=0.3, tidy=0.1)
    lab.restart_dispatcher([])
    names = [lab.library.rendered(build).name for build in (mine, theirs)]
    lab.until(lambda: names[0] not in lab.fake.jobs)
    assert names[1] in lab.fake.jobs


def test_a_copy_of_an_expected_build_that_still_runs_is_kept_over_a_restart(lab):
    lab.worker()
    build = lab.start(changed())
    run = lab.running(build)
    lab.dispatcher.stop(5)
    lab.pace = replace(JENKINS_PACE, keep_copy=0.1, tidy=0.1)
    lab.restart_dispatcher([build])
    lab.running(build)
    looks = len(lab.fake.requests("computer"))
    lab.until(lambda: len(lab.fake.requests("computer")) > looks + 3)
    run.release("FAILURE")
    assert lab.answers(build) == ["started", "FAILURE"]


@pytest.mark.parametrize("kind", [401, 403, "login", "html", 502, "cut"])
def test_a_controller_that_refuses_or_fails_stalls_the_build_until_it_does_not(lab, kind):
    lab.worker(instant="SUCCESS")
    fault = lab.fake.fault(kind, "", 1000)
    build = lab.start(lab.request("unit"))
    assert "Jenkins 'ci'" in lab.stall(build)
    fault.times = 0
    assert lab.answers(build) == ["started", "SUCCESS"]
    assert lab.stall(build) == ""


def test_a_controller_that_is_down_stalls_the_build_until_it_is_up(lab):
    lab.worker(instant="SUCCESS")
    lab.fake.end()
    build = lab.start(lab.request("unit"))
    assert "Jenkins 'ci'" in lab.stall(build)
    lab.fake.boot()
    assert lab.answers(build) == ["started", "SUCCESS"]


def test_a_job_that_jenkins_does_not_take_is_refused_with_its_words(lab):
    lab.worker()
    lab.fake.fault(500, "createItem", 100)
    done = lab.done(lab.start(lab.request("unit")))
    assert done.result.value == "NOT_BUILT"
    assert JOB in done.detail


def test_a_job_that_cannot_be_rendered_is_refused_with_the_reason(lab):
    request = lab.request("unit")
    done = lab.done(lab.start(replace(request, job=replace(request.job, label="%%"))))
    assert done.result.value == "NOT_BUILT"
    assert "node label" in done.detail


def test_where_jobs_are_not_synced_by_themselves_only_copies_are_made(lab):
    lab.worker(instant="SUCCESS")
    lab.settings["ci"] = replace(lab.settings["ci"], sync=False)
    lab.restart_dispatcher([])
    assert "torii sync-jobs" in lab.stall(lab.start(lab.request("unit")))
    assert lab.answers(lab.start(changed())) == ["started", "SUCCESS"]
    assert JOB not in lab.fake.jobs


def test_where_jobs_are_not_synced_by_themselves_it_is_said_what_enables_one(lab):
    lab.worker(instant="SUCCESS")
    lab.answers(lab.start(lab.request("unit")))
    lab.fake.disable_job(JOB)
    lab.settings["ci"] = replace(lab.settings["ci"], sync=False)
    lab.restart_dispatcher([])
    cure = "and jobs are not synced by themselves there; enable it in Jenkins, or run `torii sync-jobs --thorough`"
    assert lab.stall(lab.start(lab.request("unit"))) == f"in the Jenkins ci its job {JOB} is disabled, {cure}"


def test_where_jobs_are_not_synced_by_themselves_one_that_differs_is_said_to(lab):
    lab.worker(instant="SUCCESS")
    lab.answers(lab.start(with_script("make old")))
    lab.settings["ci"] = replace(lab.settings["ci"], sync=False)
    lab.restart_dispatcher([])
    stall = lab.stall(lab.start(with_script("make new")))
    assert stall.startswith(f"in the Jenkins ci its job {JOB} is not as torii.yml says")
    assert stall.endswith("; run `torii sync-jobs`")


def test_torii_workers_are_not_told_of_jenkins_jobs_nor_jenkins_of_theirs(lab):
    agent = lab.worker(instant="SUCCESS")
    own = ScriptedWorker([lab.server.address], "own", key=KEY, instant="FAILURE", ended=lambda uuid, result: None)
    try:
        ours = lab.start(lab.request("unit", project=ProjectName("tool")))
        theirs = lab.start(lab.request("unit"))
        assert lab.answers(ours) == ["started", "FAILURE"]
        assert lab.answers(theirs) == ["started", "SUCCESS"]
        assert set(own.defined) == {job_name("tool", "main", "unit")}
        assert set(lab.fake.jobs) == {JOB}
        assert [run.uuid for run in agent.runs] == [theirs.id]
    finally:
        own.stop()


@pytest.mark.parametrize(
    ("label", "function"),
    [
        ("linux", f"build:{JOB}:linux"),
        ("node", f"build:{JOB}:node"),
        ("linux && docker", f"build:{JOB}"),
        ("linux || arm", f"build:{JOB}"),
        ("!arm", f"build:{JOB}"),
        (None, f"build:{JOB}"),
    ],
)
def test_the_function_is_the_one_that_the_jobs_label_has(lab, label, function):
    lab.worker("node", labels=["linux", "docker"])
    if label is not None:
        lab.worker("unfit", labels=["arm" if label == "!arm" else "sparc"])
    build = lab.start(lab.request("unit", label=label))
    assert lab.running(build).build.node.name == "node"
    assert functions(lab.server.address, 5)[function].running == 1


def test_a_stall_says_that_no_node_has_the_label_or_that_those_that_have_are_offline(lab):
    lab.worker("plain")
    build = lab.start(lab.request("unit", label="linux && gpu"))
    lab.until(lambda: lab.stall(build) == "the Jenkins ci has no node online with the label gpu")
    lab.worker("mighty", labels=["linux", "gpu"])
    lab.running(build).release()
    assert lab.answers(build) == ["started", "SUCCESS"]
    lab.fake.take_offline("mighty")
    other = lab.start(lab.request("unit", label="linux && gpu"))
    lab.until(lambda: lab.stall(other) == "the Jenkins ci has no node online with the label gpu (offline: mighty)")
    lab.fake.take_offline("mighty", offline=False)
    lab.running(other)


def test_a_stall_says_that_the_plug_in_has_not_registered_the_job(lab):
    lab.fake.allow_anonymous()
    lab.fake._plugin.changed = lambda: None  # as after a boot, until somebody saves a job
    lab.fake.core.changed = lambda: None
    lab.worker(instant="SUCCESS")
    build = lab.start(lab.request("unit"))
    lab.until(lambda: "its Gearman plug-in has not registered it; see `torii jenkins check`" in lab.stall(build))
    assert JOB in lab.stall(build)
    del lab.fake._plugin.changed
    lab.fake.allow_anonymous("*")
    lab.fake._plugin.changed()
    assert lab.answers(build) == ["started", "SUCCESS"]


def test_a_stall_says_that_no_jenkins_has_connected_to_the_gearman_server(tmp_path):
    lab = JenkinsLab(EmbeddedServer(), tmp_path, gearman=())
    own = ScriptedWorker([lab.server.address], "own", key=KEY, instant="SUCCESS", ended=lambda uuid, result: None)
    try:
        lab.worker()
        build = lab.start(lab.request("unit"))
        lab.until(lambda: "no node of this Jenkins has connected to the Gearman server" in lab.stall(build))
        assert JOB in lab.stall(build)
    finally:
        own.stop()
        lab.close()


def test_a_build_that_waits_for_jenkins_to_quiet_down_says_so_and_goes_on(lab):
    lab.worker()
    running = lab.start(lab.request("unit"))
    run = lab.running(running)
    lab.fake.quiet_down()
    build = lab.start(lab.request("unit"))
    lab.until(lambda: "quieting down" in lab.stall(build))
    assert lab.waits_without_limit(build)
    run.release()
    assert lab.answers(running) == ["started", "SUCCESS"]
    lab.fake.quiet_down(False)
    lab.running(build).release()
    assert lab.answers(build) == ["started", "SUCCESS"]


def test_a_copy_that_only_waits_for_a_busy_node_is_no_stall(lab):
    lab.worker()
    run = lab.running(lab.start(lab.request("unit")))
    build = lab.start(changed())
    looks = len(lab.fake.requests("computer"))
    lab.until(lambda: len(lab.fake.requests("computer")) >= looks + 4)
    run.release()
    lab.running(build).release()
    assert lab.answers(build) == ["started", "SUCCESS"]
    assert not any(event.reason for event in lab.of(build) if isinstance(event, BuildStalled))


def test_a_jenkins_without_git_is_said_to_lack_it(lab):
    lab.another("bare", plugins={"gearman-plugin": "0.5.0"})
    lab.projects = {"app": ("bare",)}
    lab.restart_dispatcher([])
    assert "lacks the plug-in git" in lab.stall(lab.start(lab.request("unit")))


def test_every_declared_parameter_is_given_and_the_nodes_offline_switch_passed_on(lab):
    lab.worker()
    variables = (("LANG", "C"), ("OFFLINE_NODE_WHEN_COMPLETE", "1"))
    build = lab.start(lab.request("unit", variables=variables))
    run = lab.running(build)
    declared = {parameter.name for parameter in run.build.job.config.parameters}
    assert set(run.parameters) == declared
    assert run.parameters["TORII_TIMEOUT"] == str(JobDefinition("unit", "").timeout)
    assert run.parameters["LANG"] == "C"
    run.release()
    assert lab.answers(build) == ["started", "SUCCESS"]
    lab.until(lambda: lab.fake.core.node("node").temporarily)


def test_jobs_are_in_the_folder_that_server_yml_names(lab):
    lab.fake.add_folder("team/torii")
    lab.settings["ci"] = replace(lab.settings["ci"], folder="team/torii")
    lab.restart_dispatcher([])
    lab.worker(executors=2)
    build = lab.start(lab.request("unit"))
    run = lab.running(build)
    assert run.build.job.name == f"team/torii/{JOB}"
    lab.until(lambda: run.build.description)
    lab.dispatcher.stop_build(build.id, "superseded")
    assert lab.answers(build) == ["started", "CANCELED"]
    assert run.over.is_set()


def test_a_missing_folder_is_said(lab):
    lab.settings["ci"] = replace(lab.settings["ci"], folder="team/nowhere")
    lab.restart_dispatcher([])
    lab.worker(instant="SUCCESS")
    build = lab.start(lab.request("unit"))
    assert "team/nowhere" in lab.stall(build)
    lab.fake.add_folder("team/nowhere")
    assert lab.answers(build) == ["started", "SUCCESS"]


def test_one_of_two_controllers_that_is_away_is_left_out(lab):
    lab.another("second")
    lab.projects = {"app": ("ci", "second")}
    lab.restart_dispatcher([])
    lab.agent("second", FakeNode("far", ("linux",)))
    lab.fake.end()
    build = lab.start(lab.request("unit"))
    assert lab.running(build).build.node.name == "far"
    lab.run_of(build).release()
    assert lab.answers(build) == ["started", "SUCCESS"]


def test_a_controller_whose_job_could_not_be_brought_up_to_date_does_not_count(lab):
    lab.another("second")
    lab.projects = {"app": ("ci", "second")}
    lab.restart_dispatcher([])
    lab.worker("near")
    old = lab.start(with_script("make old"))
    lab.running(old).release()
    assert lab.answers(old) == ["started", "SUCCESS"]
    lab.fake.down()  # its agents are on Gearman all the while
    done = lab.done(lab.start(with_script("make new")))
    assert done.result.value == "LOST"
    assert "brought up to date" in done.detail
    lab.fake.up()
    lab.until(lambda: not lab.fake.running())


class Shifting:
    """A library whose templates somebody changes."""

    def __init__(self, library):
        self.library, self.words = library, b"at first"

    def rendered(self, request, plugins=()):
        job = self.library.rendered(request, plugins)
        return replace(job, xml=job.xml.replace(b"made by", self.words + b" made by"))


def test_a_template_that_changes_makes_another_job_of_it(lab):
    lab.library = Shifting(lab.library)
    lab.restart_dispatcher([])
    lab.worker(instant="SUCCESS")
    assert lab.answers(lab.start(lab.request("unit"))) == ["started", "SUCCESS"]
    assert b"at first made by" in lab.fake.jobs[JOB].xml
    lab.library.words = b"later"
    for _ in range(2):
        assert lab.answers(lab.start(lab.request("unit"))) == ["started", "SUCCESS"]
    assert b"later made by" in lab.fake.jobs[JOB].xml


def test_a_job_renamed_by_hand_to_the_name_of_another_is_made_right(lab):
    lab.worker(instant="SUCCESS")
    other = job_name("app", "main", "lint")
    lab.answers(lab.start(lab.request("lint")))
    lab.fake.rename_job(other, JOB)
    lab.restart_dispatcher([])
    assert lab.answers(lab.start(lab.request("unit"))) == ["started", "SUCCESS"]
    mark = read_mark(html.unescape(lab.fake.jobs[JOB].xml.decode()))
    assert mark is not None
    assert mark.job == "unit"


def test_a_job_that_a_sync_has_changed_meanwhile_is_made_right_for_a_build_of_before(lab):
    lab.worker(instant="SUCCESS")
    assert lab.answers(lab.start(with_script("make old"))) == ["started", "SUCCESS"]
    new = with_script("make new")
    rendered = lab.library.rendered(new)
    lab.fake.add_job(JOB, marked(rendered.xml, mark_of(rendered, new, "torii")))
    lab.dispatcher.jobs_changed()
    assert lab.answers(lab.start(with_script("make old"))) == ["started", "SUCCESS"]
    assert b"make old" in lab.fake.jobs[JOB].xml
