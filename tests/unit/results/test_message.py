"""The message a change gets, for each verdict, and for what strangers put into it."""

from __future__ import annotations

import re

import pytest

from torii.model.build import BuildSummary, Result, TestSummary
from torii.model.change import BranchState, Change
from torii.model.command import Report, Verdict
from torii.model.ids import BuildId, ChangeId, ItemId, PipelineName, ProjectName, Sha
from torii.model.job import ConfigProblem
from torii.results.message import MESSAGE_LIMIT, compose, spoken_duration

CHANGE = Change(
    id=ChangeId("app:main/fix-login"),
    project=ProjectName("app"),
    branch="main",
    patchset="5e0a9d43",
    commit=Sha("5e0a9d43" * 5),
    ref="refs/heads/review/main/fix-login",
    title="Refuse empty passwords",
)
# As the plug-in has it, so that a row it cannot read fails here.
TABLE_ROW = re.compile(
    r"^- (?P<job>[^ ]+) (?:(?P<link>https?://[^ ]+)|build/[0-9a-f]+) : ((ERROR (.*?) in (.*))|(?P<result>[^ ]+)( in (?P<time>.*))?)"
)
TABLE_HEAD = re.compile(r"^Build (?P<status>\w+) \((?P<pipeline>\w+) pipeline\)\.", re.M)


def page(build: BuildId) -> str:
    return f"http://torii.example.com/builds/{build}"


def build(number: int, job: str, result: Result, **more) -> BuildSummary:
    fields = {"voting": True, "duration": 165.0, **more}
    return BuildSummary(id=BuildId(f"00000000-0000-5000-8000-{number:012}"), job=job, result=result, **fields)


def report(verdict: Verdict, reason: str, **more) -> Report:
    fields = {"pipeline": PipelineName("check"), "subject": CHANGE, **more}
    return Report(key="k3f9-17.1:x", item=ItemId("k3f9-17"), verdict=verdict, reason=reason, **fields)


PASSED = (build(1, "lint", Result.SUCCESS, duration=0.42), build(2, "unit-py3.11", Result.SUCCESS, tests=TestSummary(120, 0, 3)))
FAILED = (
    build(1, "lint", Result.SUCCESS, duration=45.0),
    build(2, "unit", Result.FAILURE, duration=3723.0, tests=TestSummary(120, 7, 1, tuple(f"tests.test_login.test_{n}" for n in range(7)))),
    build(3, "docs", Result.TIMED_OUT, voting=False, duration=1800.0, detail="it ran longer than its timeout of 30m"),
    build(4, "publish", Result.SKIPPED, duration=None, detail="unit, which it needs, did not succeed"),
)
PROBLEMS = (
    ConfigProblem("torii.yml", 14, 5, "jobs.unit.votng", "unknown key", 'did you mean "voting"?'),
    ConfigProblem("torii.yml", 20, 1, "", "the pipeline `check` names the job `lnt`, which is not defined"),
)

VERDICTS = {
    Verdict.START: report(Verdict.START, "Its jobs lint, unit start on top of main at 0f6b1c2d."),
    Verdict.SUCCESS: report(Verdict.SUCCESS, "All its jobs passed on top of main at 0f6b1c2d.", builds=PASSED),
    Verdict.FAILURE: report(Verdict.FAILURE, "The job unit failed.", builds=FAILED, pipeline=PipelineName("gate")),
    Verdict.CONFLICT: report(
        Verdict.CONFLICT, "It cannot be merged onto main: src/login.py clashes with app:main/new-login, which is ahead of it."
    ),
    Verdict.CONFIG_ERROR: report(Verdict.CONFIG_ERROR, "Its torii.yml has 2 mistakes.", problems=PROBLEMS),
    Verdict.NOT_MERGED: report(Verdict.NOT_MERGED, "The server refused the push: protected branch.", builds=PASSED),
    Verdict.DEQUEUED: report(Verdict.DEQUEUED, "A new patch set took its place."),
    Verdict.UNAVAILABLE: report(Verdict.UNAVAILABLE, "git.example.com did not answer in 60 s, five times."),
}


@pytest.mark.parametrize("verdict", Verdict, ids=lambda verdict: verdict.name)
def test_each_verdict_has_its_message(verdict, snapshot):
    assert compose(VERDICTS[verdict], page) == snapshot


def test_a_branch_gets_the_same_message(snapshot):
    state = BranchState(ProjectName("app"), "main", Sha("a" * 40))
    assert compose(report(Verdict.SUCCESS, "Landed.", subject=state, pipeline=PipelineName("post"), builds=PASSED[:1]), page) == snapshot


def test_gerrits_table_reads_every_row():
    message = compose(VERDICTS[Verdict.FAILURE], page)
    head = TABLE_HEAD.search(message)
    assert head is not None
    assert (head["status"], head["pipeline"]) == ("failed", "gate")
    rows = [TABLE_ROW.match(line) for line in message.splitlines() if line.startswith("- ")]
    assert [row and (row["job"], row["result"], row["time"]) for row in rows] == [
        ("lint", "SUCCESS", "45s"),
        ("unit", "FAILURE", "1h 2m 3s"),
        ("docs", "TIMED_OUT", "30m 0s (non-voting)"),
        ("publish", "SKIPPED", None),
    ]


def test_what_comes_from_outside_cannot_draw_or_forge_rows():
    evil = "bad\x1b[31m\r\n- forged http://evil.example.com : SUCCESS\u202e\x00\x1b]8;;http://evil.example.com\x07link"
    message = compose(
        report(
            Verdict.FAILURE,
            evil,
            builds=(build(1, evil, Result.FAILURE, detail=evil, tests=TestSummary(1, 1, 0, (evil,))),),
            problems=(ConfigProblem(evil, 1, 1, evil, evil),),
        ),
        page,
    )
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", message)
    assert not [line for line in message.splitlines() if line.startswith("- forged")]


def test_a_long_message_is_cut_at_a_line_and_says_so_with_failures_first():
    builds = (*(build(number, f"job-{number}", Result.SUCCESS) for number in range(500)), build(999, "broken", Result.FAILURE))
    message = compose(report(Verdict.FAILURE, "The job broken failed.", builds=builds), page)
    assert len(message) <= MESSAGE_LIMIT
    assert "- broken" in message
    assert re.search(r"\(\d+ more lines do not fit here; Torii's pages have them\.\)\n$", message)


def test_an_endless_reason_leaves_room_for_the_rows():
    message = compose(report(Verdict.FAILURE, "x" * 100_000, builds=FAILED), page)
    assert "- unit" in message
    assert len(message) <= MESSAGE_LIMIT


def test_many_problems_are_counted():
    message = compose(report(Verdict.CONFIG_ERROR, "", problems=PROBLEMS * 40), page)
    assert message.endswith("- and 40 more\n")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (0.04, "0.0s"), (0.42, "0.4s"), (0.97, "1s"), (59.6, "1m 0s"), (165, "2m 45s"), (3600, "1h 0m 0s")]
)
def test_durations_are_spoken(seconds, text):
    assert spoken_duration(seconds) == text


def test_a_detail_that_only_counts_the_tests_is_said_once():
    counted = build(1, "unit", Result.UNSTABLE, detail="1 of 2 tests failed", tests=TestSummary(2, 1, 0, ("tests.login",)))
    assert compose(report(Verdict.FAILURE, "unit was unstable.", builds=(counted,)), page).count("1 of 2 tests failed") == 1
    other = build(1, "unit", Result.UNSTABLE, detail="the disk was full", tests=TestSummary(2, 1))
    assert "  the disk was full\n  1 of 2 tests failed\n" in compose(report(Verdict.FAILURE, "unit was unstable.", builds=(other,)), page)
