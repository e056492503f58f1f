"""Whatever breaks on the way, a build has one right log and one right record in the end, and nobody else's fault is the change's."""

from __future__ import annotations

import random
import resource
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.results_lab import JOB, ResultsLab, definition
from torii.errors import OperatorError
from torii.model.build import Result
from torii.results import layout
from torii.results.run import Run
from torii.store.blobs import FolderBlobs
from torii.testing.jenkins.log import HugeLog

MB = 1 << 20
FRAMES = b"""\
\tat hudson.tasks.CommandInterpreter.perform(CommandInterpreter.java:92)
\tat hudson.model.AbstractBuild$AbstractBuildExecution.run(AbstractBuild.java:526)
\tat hudson.model.Run.execute(Run.java:1900)
\tat hudson.model.ResourceController.execute(ResourceController.java:107)
\tat hudson.model.Executor.run(Executor.java:449)
"""
AGENT_LOST = (
    b"FATAL: command execution failed\njava.io.EOFException\n"
    b"\tat hudson.remoting.SynchronousCommandTransport$ReaderThread.run(SynchronousCommandTransport.java:61)\n"
    b"Caused: java.io.IOException: Unexpected termination of the channel\n" + FRAMES
)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[ResultsLab]:
    lab = ResultsLab(tmp_path)
    yield lab
    lab.close()


def followed(lab: ResultsLab, text: bytes = b"at work\n") -> Run:
    """A build that runs, is followed, and has something in its log."""
    lab.job(hold=True)
    run = lab.run()
    lab.gatherer.follow(run)
    lab.write(run, text)
    lab.until(lambda: lab.log(run).endswith(text))
    return run


def test_a_jenkins_that_is_down_when_a_result_is_due_is_waited_for_and_the_trouble_told(lab):
    run = followed(lab)
    lab.fake.down()
    lab.release(run, "FAILURE")
    ending = lab.finish(run, Result.FAILURE)
    lab.until(lambda: ending.troubles)
    assert f"Jenkins 'ci' at {lab.fake.url}" in ending.troubles[0]
    assert ending.told == []
    lab.fake.up()
    assert ending.outcome().result is Result.FAILURE
    assert ending.troubles[-1] == ""
    assert len([reason for reason in ending.troubles if not reason]) == 1
    assert lab.log(run).startswith(lab.logged(run))


def test_a_build_that_jenkins_calls_running_long_after_its_end_is_trouble_until_it_is_over(lab, monkeypatch):
    monkeypatch.setattr("torii.results.conclusion._PATIENCE", 0.2)
    run = followed(lab)
    ending = lab.finish(run, Result.SUCCESS)
    lab.until(lambda: ending.troubles)
    lab.release(run)
    ending.outcome()
    assert ending.troubles == ["app--main--unit #1 in the Jenkins ci has ended, but Jenkins says that it still runs", ""]


def test_a_jenkins_that_is_away_for_a_while_leaves_no_gap_in_the_log(lab):
    run = followed(lab)
    lab.fake.down()
    lab.write(run, b"in the dark\n")
    lab.until(lambda: lab.gatherer._desks["ci"]._away, 20)
    lab.fake.up()
    lab.until(lambda: lab.log(run).endswith(b"in the dark\n"))
    lab.release(run)
    lab.finish(run).outcome()
    assert lab.log(run) == lab.logged(run)


@pytest.mark.parametrize("kind", [401, 403, "login", 409, 500, 502, 503, "html", "cut", "half", "slow"])
def test_an_answer_that_is_none_is_asked_for_again(lab, kind):
    run = followed(lab)
    lab.release(run)
    faults = [lab.fake.fault(kind, pattern, times=6, seconds=0.05) for pattern in (f"{JOB}/1/api/json", "logText")]
    ending = lab.finish(run)
    assert ending.outcome(30).result is Result.SUCCESS
    assert all(fault.met for fault in faults)
    assert lab.log(run) == lab.logged(run)


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [
        ("testReport", 500),
        ("testReport", "html"),
        ("testReport", "half"),
        ("artifact/a.txt", 500),
        ("artifact/a.txt", "cut"),
        ("artifact/a.txt", "half"),
    ],
)
def test_what_a_build_left_is_not_given_up_because_of_one_bad_answer(lab, pattern, kind):
    lab.job("echo '<testsuite><testcase name=\"x\"/></testsuite>' >r.xml; echo one >a.txt", junit="r.xml", artifacts="a.txt")
    fault = lab.fake.fault(kind, pattern, times=5)
    run = lab.run()
    lab.gatherer.follow(run, definition(junit=("r.xml",)))
    outcome = lab.finish(run).outcome(30)
    assert fault.met == 5
    assert (outcome.tests.total, outcome.artifacts) == (1, ("a.txt",))
    assert lab.blobs.read(layout.artifact(run.build, "a.txt")) == b"one\n"
    assert lab.log(run).count(b"Finished: SUCCESS") == 1


def test_a_build_that_always_fails_to_be_read_holds_up_no_other(lab):
    lab.job(hold=True)
    bad, good = lab.run(), lab.run()
    lab.fake.fault(500, f"{JOB}/{bad.number}/", times=10_000)
    ending = lab.finish(bad)
    for run in (bad, good):
        lab.release(run)
    for _ in range(10):
        assert lab.finish(good).outcome().result is Result.SUCCESS
    assert ending.told == []
    lab.fake.faults.clear()
    assert ending.outcome().result is Result.SUCCESS


def test_a_jenkins_that_is_shut_down_in_a_build_loses_it(lab):
    run = followed(lab)
    lab.fake.restart()
    outcome = lab.finish(run).outcome()
    assert (outcome.result, outcome.detail) == (Result.LOST, "Jenkins was shut down in the build")


def test_an_agent_that_is_lost_in_a_build_loses_it(lab):
    run = followed(lab)
    lab.fake.kill_node("agent1")
    outcome = lab.finish(run).outcome()
    assert outcome.result is Result.LOST
    assert outcome.detail == "the agent agent1 was lost in the build: java.io.IOException: Unexpected termination of the channel"
    assert lab.results.outcome(run.build).result is Result.LOST


def test_a_build_that_a_killed_jenkins_forgot_is_nobodys(lab):
    run = followed(lab)
    lab.fake.restart(kill=True)
    ending = lab.finish(run)
    lab.until(lambda: ending.told)
    assert ending.told == [None]
    assert lab.record(run) is None


def test_a_jenkins_that_is_quieting_down_ends_what_it_runs(lab):
    run = followed(lab)
    lab.fake.quiet_down()
    lab.write(run, b"to the end\n")
    lab.release(run)
    assert lab.finish(run).outcome().result is Result.SUCCESS
    assert lab.log(run) == lab.logged(run)


@pytest.mark.parametrize(
    ("word", "result", "detail"),
    [
        (Result.SUCCESS, Result.SUCCESS, "Jenkins no longer has app--main--unit #1: only its result is known"),
        (Result.FAILURE, Result.FAILURE, "Jenkins no longer has app--main--unit #1: only its result is known"),
        (Result.ABORTED, Result.LOST, "Jenkins no longer has app--main--unit #1: it was aborted, and why can no longer be seen"),
    ],
)
def test_a_build_deleted_before_its_result_was_read_has_the_word_of_gearman(lab, word, result, detail):
    run = followed(lab)
    lab.release(run, word.value)
    lab.fake.delete_build(run.job, run.number)
    outcome = lab.finish(run, word).outcome()
    assert (outcome.result, outcome.detail) == (result, detail)
    assert lab.results.outcome(run.build).result is result
    assert b"at work\n" in lab.log(run)
    assert lab.log(run).endswith(f"[torii] {result.value}: {detail}\n".encode())


def test_a_build_deleted_before_its_result_was_read_is_nobodys_without_a_word(lab):
    run = followed(lab)
    lab.release(run)
    lab.fake.delete_build(run.job, run.number)
    ending = lab.finish(run)
    lab.until(lambda: ending.told)
    assert ending.told == [None]


def test_a_build_deleted_while_what_it_left_is_read_has_the_word_of_gearman(lab):
    run = followed(lab)
    lab.release(run)
    lab.fake.fault(404, "logText", times=100)
    assert lab.finish(run, Result.SUCCESS).outcome().detail.endswith("only its result is known")


def test_a_controller_that_server_yml_names_no_more_is_as_one_that_forgot(lab):
    run = Run(followed(lab).build, "old", JOB, 1)
    lab.gatherer.follow(run)
    assert lab.finish(run, Result.SUCCESS).outcome().detail == "server.yml names no Jenkins old: only its result is known"


def test_a_job_disabled_by_hand_in_a_build_changes_nothing(lab):
    run = followed(lab)
    lab.fake.disable_job(JOB)
    lab.release(run)
    assert lab.finish(run).outcome().result is Result.SUCCESS


def test_a_job_deleted_by_hand_in_a_build_loses_it(lab):
    run = followed(lab)
    lab.fake.delete_job(JOB)
    assert lab.finish(run, Result.ABORTED).outcome().result is Result.LOST


def test_a_job_renamed_by_hand_is_as_one_that_was_deleted(lab):
    run = followed(lab)
    lab.release(run)
    lab.fake.rename_job(JOB, "mine")
    assert lab.finish(run, Result.FAILURE).outcome().result is Result.FAILURE


def test_an_artifact_that_is_gone_is_left_and_the_log_says_so(lab):
    lab.job("echo one >a.txt; echo two >b.txt", artifacts="*.txt")
    lab.fake.fault(404, "artifact/a.txt", times=10)
    run = lab.run()
    assert lab.finish(run).outcome().artifacts == ("b.txt",)
    assert b"[torii] the artifact a.txt: Jenkins no longer has the file\n" in lab.log(run)


def test_artifacts_that_jenkins_keeps_elsewhere_stay_there_and_hold_no_result_back(lab):
    lab.job("echo one >a.txt; echo two >b.txt", artifacts="*.txt")
    kept = lab.fake.fault("elsewhere", "/artifact/", times=1000)
    run = lab.run()
    outcome = lab.finish(run).outcome()
    assert (outcome.result, outcome.artifacts, lab.record(run).linked) == (Result.SUCCESS, (), ("a.txt", "b.txt"))
    assert kept.met == 2
    (said,) = [line for line in lab.log(run).splitlines() if b"artifacts.example.org" in line]
    assert b"[torii] artifacts stay where Jenkins keeps them: " in said
    assert b"hush" not in said


def test_artifacts_beyond_the_limits_are_left_and_the_log_says_so(lab, monkeypatch):
    monkeypatch.setattr("torii.results.leavings.SIZE_LIMIT", 250_000)
    monkeypatch.setattr("torii.results.leavings.FILES_LIMIT", 3)
    lab.job(hold=True)
    run = lab.run()
    lab.build(run).artifacts = {f"{name}.bin": bytes(size) for name, size in (("a", 200_000), ("b", 900_000), ("c", 50_000), ("d", 1))}
    lab.release(run)
    assert lab.finish(run).outcome().artifacts == ("a.bin", "c.bin")
    log = lab.log(run)
    assert lab.record(run).linked == ("b.bin",)
    assert b"artifacts: b.bin stays in Jenkins alone, for with it" in log
    assert b"artifacts: only the first 3 files are kept" in log


def test_an_artifact_for_which_there_is_no_room_on_its_way_holds_no_result_back(lab):
    size, soft = 300_000, resource.getrlimit(resource.RLIMIT_FSIZE)
    lab.job(hold=True)
    run = lab.run()
    lab.build(run).artifacts = {"a.bin": b"one", "large.bin": bytes(size)}
    lab.release(run)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, soft[1]))
    try:
        outcome = lab.finish(run).outcome()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, soft)
        signal.signal(signal.SIGXFSZ, before)
    assert (outcome.artifacts, lab.record(run).linked) == (("a.bin",), ("large.bin",))
    assert b"artifacts: large.bin stays in Jenkins alone: File too large\n" in lab.log(run)


def test_a_log_of_500_mb_takes_little_memory_and_disk_and_its_end_still_counts(lab):
    lab.begin_anew(log_limit=6 * MB)
    run = followed(lab)
    end = b"ERROR: it went wrong\n" + AGENT_LOST + b"Build step 'Execute shell' marked build as failure\nFinished: FAILURE\n"
    lab.build(run).log = HugeLog(500 * MB, end)
    lab.release(run, "FAILURE")
    tracemalloc.start()
    try:
        outcome = lab.finish(run).outcome(120)
        # the fake and the client's own pieces are in this process as well
        assert tracemalloc.get_traced_memory()[1] < 60 * MB
    finally:
        tracemalloc.stop()
    assert outcome.result is Result.LOST
    size = lab.blobs.size(layout.console(run.build))
    assert 6 * MB < size < 6 * MB + 1000
    assert b"[torii] the log has reached its limit of 6 MiB; what follows is to be seen in Jenkins alone\n" in lab.log(run)[-1000:]


class Refusing(FolderBlobs):
    """Blobs on a disk that is full until it is not. Each write may leave a part behind."""

    full = False

    def put(self, key, content):
        if self.full:
            raise OperatorError("the disk is full")
        super().put(key, content)

    def append(self, key):
        if self.full:
            raise OperatorError("the disk is full")
        return super().append(key)


def test_a_full_disk_is_trouble_and_loses_nothing(lab):
    lab.blobs = blobs = Refusing(lab.folder / "blobs")
    lab.begin_anew()
    run = followed(lab)
    blobs.full = True
    lab.write(run, b"nowhere to put it\n")
    lab.release(run)
    ending = lab.finish(run)
    lab.until(lambda: ending.troubles)
    assert ending.troubles == ["the disk is full"]
    blobs.full = False
    ending.outcome()
    assert ending.troubles == ["the disk is full", ""]
    assert lab.log(run) == lab.logged(run)


def test_a_damaged_record_is_written_anew(lab):
    run = followed(lab)
    lab.blobs.put(layout.record(run.build), b'{"result": "SUCC')
    lab.release(run)
    lab.begin_anew()
    lab.finish(run).outcome()
    assert lab.results.outcome(run.build).result is Result.SUCCESS


def test_another_life_of_torii_goes_on_with_the_log_and_the_record(lab):
    run = followed(lab)
    for number in range(5):
        lab.begin_anew()
        lab.gatherer.follow(run)
        lab.write(run, f"life {number}\n".encode())
        lab.until(lambda number=number: lab.log(run).endswith(f"life {number}\n".encode()))
    lab.release(run)
    lab.begin_anew()
    lab.finish(run).outcome()
    assert lab.log(run) == lab.logged(run)


@pytest.mark.timeout(180)
def test_kill_9_at_any_moment_leaves_one_right_log_and_one_record(lab):
    """A process follows the build and is killed again and again, while the log grows and while the end is read."""
    lab.job(hold=True)
    run = lab.run()
    lab.build(run).artifacts = {f"{number}.bin": bytes(100_000) for number in range(20)}
    command = [sys.executable, "-m", "tests.support.results_process", str(lab.folder), lab.fake.url, lab.fake.user]
    command += [run.build, run.job, str(run.number)]
    chance = random.Random(20261126)

    def live(seconds: float) -> bool:
        """Let a process live for so long; return whether it came to the end before."""
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as process:
            assert process.stdout.readline() == "following\n"
            try:
                return process.wait(seconds) == 0
            except subprocess.TimeoutExpired:
                process.kill()
                return False

    for life in range(8):
        for number in range(40):
            lab.write(run, f"life {life}, line {number}: {chance.random()} é\n".encode() * chance.randrange(1, 200))
        live(chance.uniform(0.0, 0.1))
    lab.release(run, "FAILURE")
    lives = 0
    while not live(min(0.05 * 1.5**lives, 20)):
        lives += 1
    record = lab.record(run)
    assert (record.result, len(record.artifacts)) == (Result.FAILURE, 20)
    assert lab.log(run) == lab.logged(run), "each line once, in order"
    assert all(lab.blobs.size(layout.artifact(run.build, path)) == 100_000 for path in record.artifacts)


def test_the_end_of_the_gatherer_waits_for_nobody(lab):
    run = followed(lab)
    lab.fake.fault("slow", "api/json", times=5, seconds=30)
    lab.finish(run)
    lab.until(lambda: lab.fake.requests(f"{JOB}/1/api/json"))
    began = time.monotonic()
    lab.gatherer.stop(0.2)
    assert time.monotonic() - began < 15, "half of what the slow answer takes"


def test_a_proxy_that_finds_nothing_while_jenkins_is_away_makes_no_build_unknown(lab):
    run = followed(lab)
    lab.release(run)
    faults = [lab.fake.fault(404, f"{JOB}/1/", times=10_000), lab.fake.fault("html", "tree=mode", times=10_000)]
    ending = lab.finish(run, Result.SUCCESS)
    lab.until(lambda: ending.troubles)
    assert ending.told == []
    assert all(fault.met for fault in faults)
    lab.fake.faults.clear()
    assert ending.outcome().detail == ""
    assert lab.log(run) == lab.logged(run)
