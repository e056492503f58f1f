"""What builds in a Jenkins say and leave comes into Torii's store: the log while they run, the rest at their end."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.results_lab import JOB, Ending, ResultsLab, definition
from torii.jenkins import Queued
from torii.model.build import FileComment, Result, TestSummary
from torii.model.ids import BuildId
from torii.results import layout
from torii.results.run import Run, Waiting

REPORT = """<testsuite name="s"><testcase classname="a.B" name="ok"/><testcase classname="a.B" name="bad"><failure/></testcase>
<testcase classname="a.B" name="later"><skipped/></testcase></testsuite>"""
NOBODY = BuildId("00000000-0000-5000-8000-000000000009")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[ResultsLab]:
    lab = ResultsLab(tmp_path)
    yield lab
    lab.close()


def test_the_log_is_there_while_the_build_runs_and_whole_when_it_has_ended(lab):
    lab.job(hold=True)
    run = lab.run()
    lab.gatherer.follow(run)
    for number in range(3):
        lab.write(run, f"line {number} é\n".encode())
        lab.until(lambda number=number: lab.log(run).endswith(f"line {number} é\n".encode()))
    lab.release(run)
    lab.finish(run).outcome()
    assert lab.log(run) == lab.logged(run)


def test_the_end_of_a_build_is_recorded_as_torii_s_own_worker_would(lab):
    lab.job("echo hello; exit 3")
    run = lab.run()
    outcome = lab.finish(run, Result.FAILURE).outcome()
    build = lab.build(run)
    assert (outcome.result, outcome.detail) == (Result.FAILURE, "the step 'Execute shell' failed")
    assert lab.results.outcome(run.build).result is Result.FAILURE
    record = lab.record(run)
    assert record.duration == pytest.approx(build.duration, abs=0.01)
    assert record.ended_at == pytest.approx(record.started_at + record.duration)
    assert (record.worker, record.url) == ("agent1", run.url)
    assert b"\nhello\n" in lab.log(run)
    assert lab.log(run).endswith(b"[torii] FAILURE: the step 'Execute shell' failed\n")


def test_a_finish_that_comes_before_the_end_waits_for_it(lab):
    lab.job(hold=True)
    run = lab.run()
    ending = lab.finish(run)
    lab.write(run, b"still at it\n")
    lab.until(lambda: len(lab.fake.requests(f"{JOB}/1/api/json")) > 3)
    assert ending.told == []
    lab.release(run)
    assert ending.outcome().result is Result.SUCCESS
    assert ending.troubles == []
    assert b"still at it\n" in lab.log(run)


def test_tests_artifacts_and_comments_come_from_jenkins(lab):
    comments = json.dumps([{"path": "a.py", "line": 3, "message": "Too long."}])
    steps = ["mkdir -p out/sub; echo one >out/a.txt; echo two >'out/sub/c d.txt'"]
    steps += [f"cat >{name} <<'E'\n{text}\nE" for name, text in (("report.xml", REPORT), ("comments.json", comments))]
    lab.job(*steps, junit="report.xml", artifacts="out/**, comments.json")
    run = lab.run()
    lab.gatherer.follow(run, definition(junit=("report.xml",), comments="comments.json", artifacts=("out/**",)))
    outcome = lab.finish(run).outcome()
    assert outcome.tests == TestSummary(3, 1, 1, ("a.B.bad",))
    assert (outcome.result, outcome.detail) == (Result.UNSTABLE, "1 of 3 tests failed")
    assert outcome.comments == (FileComment("a.py", "Too long.", 3),)
    assert outcome.artifacts == ("comments.json", "out/a.txt", "out/sub/c d.txt")
    assert lab.blobs.read(layout.artifact(run.build, "out/sub/c d.txt")) == b"two\n"


def test_artifacts_may_stay_in_jenkins_and_are_linked_to(lab):
    lab.link()
    lab.job("mkdir 'o ut'; echo one >'o ut/é#.txt'", artifacts="o ut/**")
    run = lab.run()
    outcome = lab.finish(run).outcome()
    record = lab.record(run)
    assert (outcome.artifacts, record.linked) == ((), ("o ut/é#.txt",))
    assert record.link(record.linked[0]) == f"{run.url}artifact/o%20ut/%C3%A9%23.txt"
    assert list(lab.blobs.keys(layout.artifacts(run.build))) == []


def test_artifacts_of_a_job_that_goes_away_are_copied_whatever_the_setting(lab):
    lab.link()
    lab.job("echo one >a.txt", artifacts="a.txt")
    run = lab.run()
    lab.gatherer.follow(run, copy=True)
    assert lab.finish(run).outcome().artifacts == ("a.txt",)


def test_artifacts_with_hostile_names_are_left_and_the_log_says_so(lab):
    lab.job(hold=True)
    run = lab.run()
    lab.build(run).artifacts = {"a.txt": b"one", "../../etc/passwd": b"x", "a\\b": b"x", "n" * 300: b"x", "/abs": b"x"}
    lab.release(run)
    assert lab.finish(run).outcome().artifacts == ("a.txt",)
    assert lab.log(run).count(b"cannot be kept: its path") == 4


def test_without_the_junit_plugin_the_archived_reports_are_read(tmp_path):
    lab = ResultsLab(tmp_path, plugins={})
    try:
        lab.job(f"mkdir t; cat >t/one.xml <<'E'\n{REPORT}\nE\necho '<not a report' >t/two.xml", artifacts="t/*.xml")
        run = lab.run()
        lab.gatherer.follow(run, definition(junit=("t/*.xml",)))
        outcome = lab.finish(run).outcome()
        assert outcome.tests == TestSummary(3, 1, 1, ("a.B.bad",))
        assert (outcome.result, outcome.detail) == (Result.UNSTABLE, "1 of 3 tests failed")
        assert b"[torii] test report two.xml: it is not well-formed XML" in lab.log(run)
    finally:
        lab.close()


def test_missing_reports_are_said_in_the_log(lab):
    lab.job("true")
    run = lab.run()
    lab.gatherer.follow(run, definition(junit=("none.xml",), comments="none.json"))
    outcome = lab.finish(run).outcome()
    assert (outcome.tests, outcome.comments) == (None, ())
    assert b"[torii] no test report matches none.xml\n[torii] no file of comments matches none.json\n" in lab.log(run)


def test_nuls_and_broken_text_arrive_as_they_are(lab):
    lab.job(hold=True)
    run = lab.run()
    lab.gatherer.follow(run)
    data = b"\x00\x01\xff\xfe half \xc3\x28 \xed\xa0\x80 \x1b[31mred\x1b[0m alone\rin a line\n"
    for _ in range(50):
        lab.write(run, data)
    lab.release(run)
    lab.finish(run).outcome()
    assert lab.log(run) == lab.logged(run)
    assert lab.log(run).count(data) == 50


def test_two_builds_at_once_are_told_apart(lab):
    lab.job(hold=True)
    runs = [lab.run(), lab.run()]
    for run in runs:
        lab.gatherer.follow(run)
        lab.write(run, f"I am {run.build}\n".encode())
    endings = [lab.finish(run) for run in runs]
    for run, result in zip(runs, ("FAILURE", "SUCCESS"), strict=True):
        lab.release(run, result)
    assert [ending.outcome().result.value for ending in endings] == ["FAILURE", "SUCCESS"]
    for run in runs:
        assert lab.log(run).count(b"I am") == 1
        assert f"I am {run.build}".encode() in lab.log(run)


def test_what_is_finished_twice_is_told_to_both_and_the_same(lab):
    lab.job("echo once")
    run = lab.run()
    first, second = lab.finish(run, Result.SUCCESS), lab.finish(run, Result.SUCCESS)
    assert first.outcome() == second.outcome()
    log = lab.log(run)
    lab.fake.delete_build(run.job, run.number)
    assert lab.finish(run).outcome() == first.outcome()
    lab.gatherer.follow(run)
    assert lab.log(run) == log


def test_a_second_run_of_a_build_begins_anew_with_a_note(lab):
    lab.job(hold=True)
    first = lab.run()
    lab.gatherer.follow(first)
    lab.write(first, b"first\n")
    lab.until(lambda: lab.log(first).endswith(b"first\n"))
    begun = lab.log(first)
    second = lab.run(build=first.build)
    assert second.number == 2
    lab.gatherer.follow(second)
    lab.write(second, b"second\n")
    lab.write(first, b"more of the first\n")
    lab.release(second)
    lab.finish(second).outcome()
    assert lab.log(second) == (
        begun
        + b"[torii] what stands above is of app--main--unit #1 in the Jenkins ci, which was lost; here it begins anew\n"
        + lab.logged(second)
    )


def test_a_dropped_build_is_asked_after_no_more(lab):
    lab.job(hold=True)
    run = lab.run()
    ending = lab.finish(run)
    lab.gatherer.follow(run)
    lab.until(lambda: lab.fake.requests(f"{JOB}/1/api/json"))
    lab.gatherer.drop(run.build)
    lab.release(run)
    other = lab.run()
    lab.release(other)
    lab.finish(other).outcome()
    count = len(lab.fake.requests(f"{JOB}/1/"))
    third = lab.run()
    lab.release(third)
    lab.finish(third).outcome()
    assert len(lab.fake.requests(f"{JOB}/1/")) == count
    assert ending.told == []


class Answers:
    def __init__(self) -> None:
        self.found: list[tuple[Run | Waiting | None, bool]] = []

    def __call__(self, found: Run | Waiting | None, over: bool) -> None:
        self.found.append((found, over))


def test_a_build_is_found_by_its_id_wherever_it_is(lab):
    lab.job(hold=True)
    run = lab.run()
    answers = Answers()
    lab.gatherer.find(run.build, JOB, ["ci"], answers)
    lab.until(lambda: answers.found)
    assert answers.found == [(run, False)]
    lab.release(run)
    lab.gatherer.find(run.build, JOB, ["ci"], answers)
    lab.until(lambda: len(answers.found) == 2)
    assert answers.found[1] == (replace(run, node="agent1"), True), "where it ran is certain once it has ended"


def test_a_build_in_the_queue_is_found_there(lab):
    lab.job(hold=True, label="nowhere")
    build = BuildId("00000000-0000-5000-8000-000000000001")
    item = lab.controller.start(JOB, {"TORII_UUID": build})
    answers = Answers()
    lab.gatherer.find(build, JOB, ["ci"], answers)
    lab.until(lambda: answers.found)
    found, over = answers.found[0]
    assert isinstance(found, Waiting)
    assert isinstance(found.item, Queued)
    assert (found.controller, found.item.id, over) == ("ci", item, False)


@pytest.mark.parametrize("controllers", [["ci"], ["gone"], [], ["gone", "ci"]])
def test_a_build_that_nobody_knows_is_nobodys(lab, controllers):
    lab.job(hold=True)
    answers = Answers()
    lab.gatherer.find(NOBODY, JOB, controllers, answers)
    lab.until(lambda: answers.found)
    assert answers.found == [(None, False)]


def test_a_jenkins_behind_a_proxy_s_path_and_in_folders_is_read_as_any_other(tmp_path):
    lab = ResultsLab(tmp_path, base="/ci/jenkins")
    try:
        lab.begin_anew(folder="team/torii")
        lab.job("echo one >a.txt", name=f"team/torii/{JOB}", artifacts="a.txt")
        build = BuildId("00000000-0000-5000-8000-000000000002")
        lab.controller.start(JOB, {"TORII_UUID": build})
        run = Run(build, "ci", JOB, 1)
        lab.gatherer.follow(run)
        assert lab.finish(run).outcome().artifacts == ("a.txt",)
        assert lab.record(run).url == f"{lab.fake.url}/job/team/job/torii/job/{JOB}/1/"
        assert "/ci/jenkins/" in lab.record(run).url
        assert lab.log(run).endswith(b"Finished: SUCCESS\n")
    finally:
        lab.close()


def test_however_often_and_wherever_from_an_end_is_asked_for_each_is_told_once(lab):
    lab.job(hold=True)
    for _ in range(15):
        run = lab.run()
        lab.gatherer.follow(run)
        lab.release(run)
        endings: list[Ending] = []
        asking = [threading.Thread(target=lambda run=run, kept=endings: kept.extend(lab.finish(run) for _ in range(5))) for _ in range(4)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        assert {ending.outcome().result for ending in endings} == {Result.SUCCESS}
        assert len(endings) == 20
        assert lab.log(run) == lab.logged(run)


def test_comments_with_the_whole_path_of_the_workspace_are_on_files_of_the_repository(lab):
    lab.job(hold=True)
    run = lab.run()
    lab.gatherer.follow(run, definition(comments="comments.json"))
    said = [{"path": f"/srv/agents/agent1/workspace/{JOB}/src/a.py", "message": "Here."}, {"path": "/etc/passwd", "message": "There."}]
    lab.build(run).artifacts = {"comments.json": json.dumps(said).encode()}
    lab.release(run)
    assert lab.finish(run).outcome().comments == (FileComment("src/a.py", "Here."),)
    assert b"comments in comments.json: entry 2 is left out" in lab.log(run)


@pytest.mark.parametrize("content", [b"not json", b"[" * 100_000, b"x" * 2_000_000])
def test_a_file_of_comments_that_is_none_is_a_note_in_the_log(lab, content):
    lab.job(hold=True)
    run = lab.run()
    lab.gatherer.follow(run, definition(comments="*.json"))
    lab.build(run).artifacts = {"comments.json": content}
    lab.release(run)
    outcome = lab.finish(run).outcome()
    assert (outcome.result, outcome.comments) == (Result.SUCCESS, ())
    assert b"[torii] comments in comments.json: it is " in lab.log(run)
