"""Builds on a real worker: real Gearman, real git, real bubblewrap."""

from __future__ import annotations

import json

import pytest

from tests.support.git_servers import git
from tests.support.waiting import wait_until
from tests.support.worker_lab import LIBRARY
from torii.gearman.functions import build_function
from torii.jobs import JobSource
from torii.model.build import FileComment, Result, TestSummary
from torii.model.ids import ProjectName
from torii.model.job import JobDefinition, JobReports

pytestmark = pytest.mark.needs("bwrap")

REPORT = """<testsuite name="s"><testcase classname="a.b" name="passes"/>
<testcase classname="a.b" name="fails"><failure>no</failure></testcase>
<testcase classname="a.b" name="skipped"><skipped/></testcase></testsuite>"""
BASIC = "CI HOME LANG PATH SHELL TMPDIR USER WORKSPACE GIT_COMMIT JOB_NAME BUILD_NUMBER NODE_NAME PWD OLDPWD SHLVL _"


def test_a_build_runs_on_the_staged_state_and_is_recorded(lab):
    worker = lab.worker()
    job = lab.define(worker, JobDefinition("unit", "cat hello.txt; git log --oneline | wc -l\n"))
    build, answer = lab.submit(job, TORII_LOG_URL="https://ci.example.com/1")
    facts = answer.started()
    assert facts == {
        "name": job.name,
        "number": 1,
        "manager": worker.id,
        "worker": worker.id,
        "url": "https://ci.example.com/1",
        "node_name": worker.id,
        "node_labels": ["big", "linux"],
    }
    assert answer.result() == "SUCCESS"
    assert [how for how, _ in answer.said] == ["data", "status", "complete"]
    assert json.loads(answer.said[-1][1]) == {**facts, "result": "SUCCESS"}
    log = lab.log(build)
    assert f"[torii] checked out {lab.commit}" in log
    assert "\nhello\n" in log
    found = lab.record(build)
    assert (found.result, found.worker) == (Result.SUCCESS, worker.id)
    assert found.duration is not None
    assert found.started_at is not None
    assert found.ended_at is not None
    wait_until(lambda: not list((lab.state / "workspaces" / worker.id / "builds").iterdir()))


def test_each_build_sees_its_own_commit_however_many_run_at_once(lab):
    worker = lab.worker(executors=4)
    job = lab.define(worker, JobDefinition("unit", 'cat hello.txt; test -z "$(git status --porcelain)"; git rev-parse HEAD\n'))
    asked = []
    for number in range(8):
        ref = f"refs/staging/check/k3f9-{number}.1/main"
        commit = lab.stage({"hello.txt": f"this is {number}\n"}, ref)
        asked.append((number, commit, *lab.submit(job, TORII_REF=ref, TORII_COMMIT=commit)))
    for number, commit, build, answer in asked:
        assert answer.result() == "SUCCESS"
        assert f"this is {number}\n" in lab.log(build)
        assert f"\n{commit}\n" in lab.log(build)


def test_the_history_is_there_without_a_clone(lab):
    for number in range(3):
        lab.stage({"more.txt": f"{number}\n"})
    record, log = lab.build(
        lab.worker(), "git log --format=%s | wc -l; git show HEAD~1:more.txt; git fsck --connectivity-only 2>&1; du -s .git\n"
    )
    assert record.result is Result.SUCCESS, log
    assert "\n4\n1\n" in log.replace("+ wc -l\n", "").replace("+ git log --format=%s\n", "").replace("+ git show HEAD~1:more.txt\n", "")


@pytest.mark.parametrize(
    ("run", "detail"),
    [
        ("exit 3\n", "exit status 3"),
        ("kill -9 $$\n", "ended by signal 9"),
        ("false\necho not reached\n", "exit status 1"),
        ("kill -9 -1", "ended by signal 9"),
    ],
)
def test_a_step_that_fails_fails_the_build_and_says_how(lab, run, detail):
    record, log = lab.build(lab.worker(), run)
    assert (record.result, record.detail) == (Result.FAILURE, detail)
    assert "not reached" not in log.replace("echo not reached", "")
    assert f"[torii] FAILURE: {detail}\n" in log


def test_a_step_runs_under_sh_xe_unless_it_names_its_interpreter(lab):
    worker = lab.worker()
    _, log = lab.build(worker, "echo one two\n")
    assert "\n+ echo one two\none two\n" in log
    _, log = lab.build(worker, "#!/bin/sh -u\nfalse\necho $0 goes on\n")
    assert "goes on\n" in log
    assert "+ echo" not in log
    record, log = lab.build(worker, "#!/no/such/shell\ntrue\n")
    assert record.result is Result.FAILURE


def test_the_environment_is_the_builds_own_and_nothing_of_the_workers(lab, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the worker's own")
    record, log = lab.build(
        lab.worker(), "#!/bin/sh\nenv -0 | sort -z | tr '\\0' '\\n'\n", variables=(("COLOUR", "a b\n{c}"), ("LANG", "de_DE.UTF-8"))
    )
    found = dict(line.split("=", 1) for line in log.splitlines() if "=" in line)
    assert record.result is Result.SUCCESS
    assert found["COLOUR"] == "a b"
    assert "\n{c}\n" in log
    assert found["LANG"] == "de_DE.UTF-8"
    assert found["CI"] == "true"
    assert found["HOME"] == "/home/torii"
    assert found["WORKSPACE"] == found["PWD"] == "/workspace"
    assert found["GIT_COMMIT"] == found["TORII_COMMIT"] == lab.commit
    assert set(found) <= {
        "COLOUR",
        *BASIC.split(),
        *(name for name in found if name.startswith("TORII_")),
    }
    assert "TORII_SIGNATURE" not in found


def test_what_a_job_does_not_declare_is_dropped_and_what_is_not_given_stays_unset(lab):
    record, log = lab.build(lab.worker(), 'echo "[${UNDECLARED-unset}]"\n', parameters={"UNDECLARED": "x"})
    assert record.result is Result.SUCCESS
    assert "\n[unset]\n" in log


def test_failing_tests_make_a_build_unstable_and_are_named(lab):
    lab.stage({"report.xml": REPORT})
    record, _ = lab.build(lab.worker(), "true\n", reports=JobReports(junit=("report.xml", "none/*.xml")))
    assert (record.result, record.detail) == (Result.UNSTABLE, "1 of 3 tests failed")
    assert record.tests == TestSummary(3, 1, 1, ("a.b.fails",))


def test_a_build_that_fails_still_has_its_tests_read_and_its_artifacts_kept(lab):
    lab.stage({"report.xml": REPORT})
    worker = lab.worker()
    job = lab.define(
        worker,
        JobDefinition(
            "unit",
            "mkdir -p dist/sub; echo wheel >dist/a.whl; echo x >dist/sub/b; exit 1\n",
            reports=JobReports(("*.xml",), "report.xml"),
            artifacts=("dist/**",),
        ),
    )
    build, answer = lab.submit(job)
    assert answer.result() == "FAILURE"
    record = lab.record(build)
    assert record.tests is not None
    assert record.tests.failed == 1
    assert record.artifacts == ("dist/a.whl", "dist/sub/b", "report.xml")
    assert lab.artifact(build, "dist/a.whl") == b"wheel\n"


def test_reports_that_are_hostile_or_missing_are_noted_and_nothing_more(lab):
    run = (
        'printf \'<!DOCTYPE x [<!ENTITY a "b">]><testsuite><testcase name="&a;"/></testsuite>\' >bomb.xml\n'
        "ln -s /etc/passwd link.xml; mkfifo pipe.xml; printf '<testsuite' >broken.xml; mkdir folder.xml\n"
    )
    record, log = lab.build(lab.worker(), run, reports=JobReports(junit=("*.xml", "nothing.xml")))
    assert record.result is Result.SUCCESS
    assert "bomb.xml" in log
    assert "broken.xml" in log


@pytest.mark.parametrize("status", [0, 1])
def test_comments_are_read_however_the_build_ended_also_under_absolute_paths(lab, status):
    run = (
        'printf \'[{"path": "%s/hello.txt", "line": 1, "end_line": 2, "message": "be nicer"}, {"path": "../x", "message": "m"}]\' "$PWD" '
        f">comments.json; exit {status}\n"
    )
    record, log = lab.build(lab.worker(), run, reports=JobReports(comments="comments.json"))
    assert record.result is (Result.FAILURE if status else Result.SUCCESS)
    assert record.comments == (FileComment("hello.txt", "be nicer", 1, 2),)
    assert record.artifacts == ("comments.json",)
    assert "[torii] comments in comments.json: entry 2 is left out: '../x' is no path" in log


@pytest.mark.parametrize("make", ["ln -s /etc/passwd comments.json", "mkfifo comments.json", "echo '[{' >comments.json", "true"])
def test_comments_that_are_hostile_broken_or_missing_are_noted_and_nothing_more(lab, make):
    record, log = lab.build(lab.worker(), f"{make}\n", reports=JobReports(comments="comments.json"))
    assert (record.result, record.comments) == (Result.SUCCESS, ())
    assert "[torii] comments in comments.json: it is no JSON" in log or "[torii] no file of comments matches comments.json" in log


def test_artifacts_lead_nowhere_out_of_the_workspace(lab):
    run = (
        "ln -s /etc/passwd link; ln -s /etc folder; ln -s .. up; mkfifo pipe; echo fine >plain; mkdir -p .git/x; echo no >.git/x/y\n"
        "touch \"$(printf 'new\\nline')\" 'back\\slash' \"$(printf 'bytes-\\377')\"\n"
    )
    record, log = lab.build(lab.worker(), run, artifacts=("**", "../*", "/etc/passwd", "folder/passwd", "link", ".git/x/y"))
    assert record.result is Result.SUCCESS
    assert record.artifacts == ("hello.txt", "plain")
    assert "leads out of the workspace" in log


def test_a_job_is_offered_under_each_label_it_names(lab):
    worker = lab.worker()
    one = lab.define(worker, JobDefinition("one", "true"))
    two = lab.define(worker, JobDefinition("two", "true", label="linux && big"))
    other = lab.define(worker, JobDefinition("other", "true", label="windows"))
    functions = lab.functions()
    assert {name for name in functions if name.startswith("build:")} == {
        *(build_function(name, label) for name, label in ((one.name, None), (two.name, None), (two.name, "linux"), (two.name, "big"))),
    }
    assert other.name not in str(functions)
    assert lab.submit(two, "big")[1].result() == "SUCCESS"


def test_a_job_defined_anew_takes_the_place_of_the_old_one(lab):
    worker = lab.worker()
    (old,) = LIBRARY.render([JobSource(ProjectName("app"), "main", JobDefinition("job", "exit 1", label="linux"))])
    lab.define(worker, JobDefinition("job", "exit 1", label="linux"))
    lab.define(worker, JobDefinition("job", "true", label="big"))
    assert f"build:{old.name}:linux" not in lab.functions()
    assert lab.submit(old, "big")[1].result() == "SUCCESS"


def test_commit_and_tree_are_fetched_once_and_then_come_from_the_mirror(lab):
    worker = lab.worker()
    job = lab.define(worker, JobDefinition("unit", "true\n"))
    assert lab.submit(job)[1].result() == "SUCCESS"
    git("update-ref", "-d", lab.ref, cwd=lab.repository)
    assert lab.submit(job)[1].result() == "SUCCESS"
