"""Whatever an adapter does with a command, somebody answers it."""

from __future__ import annotations

import pytest

from torii.model.build import Result
from torii.model.command import DropStaging, Merge, Report, Stage, StartBuild, StopBuild, Submit, Verdict
from torii.model.event import BuildDone, Event, MergeDone, MergeUnavailable, Refused, ReportDone, SubmitDone, SubmitUnavailable
from torii.model.ids import BuildId, BuildSetId, ChangeId, ItemId, PipelineName, ProjectName, Sha
from torii.model.pipeline import MergeMode
from torii.runtime.inbox import Inbox
from torii.runtime.performer import Performer

GATE = PipelineName("gate")


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def performer(adapters, inbox) -> Performer:
    adapters.answers = False
    return Performer({ProjectName("app"): adapters}, adapters, adapters, inbox)


def posted(inbox: Inbox) -> list[Event]:
    return [event for posting in inbox.take(1000, 0) for event in posting.events]


@pytest.fixture
def change(forge):
    forge.push_change(ChangeId("app:main/fix"), ProjectName("app"), "main", {"fix.txt": "fix"})
    return forge.submissions[ChangeId("app:main/fix")].change


def report(change, key: str) -> Report:
    return Report(key, ItemId("x-1"), GATE, change, Verdict.SUCCESS, "passed")


def submit(change) -> Submit:
    return Submit(BuildSetId("x-1.1"), change, Sha("a"), Sha("b"), Sha("c"), MergeMode.MERGE_ALWAYS)


def stages(*numbers: str) -> Merge:
    return Merge(GATE, (), tuple(Stage(BuildSetId(number), ProjectName("app"), "main", ()) for number in numbers))


def test_commands_are_handed_over_in_order(performer, adapters, change):
    commands = [stages("x-1.1"), report(change, "one"), submit(change), DropStaging(()), report(change, "two")]
    performer.perform(commands)
    assert adapters.asked == commands


def test_reports_that_follow_each_other_are_handed_over_together(performer, adapters, change, monkeypatch):
    together: list[list[str]] = []
    monkeypatch.setattr(adapters, "report", lambda reports: together.append([one.key for one in reports]))
    performer.perform([report(change, "a"), report(change, "b"), submit(change), report(change, "c")])
    assert together == [["a", "b"], ["c"]]


def test_a_merge_that_cannot_be_handed_over_is_answered_for_each_of_its_states(performer, adapters, inbox):
    adapters.broken = {"merge"}
    performer.perform([stages("x-1.1", "x-2.1")])
    reason = "RuntimeError: merge is broken"
    assert posted(inbox) == [MergeDone(BuildSetId(number), MergeUnavailable(reason)) for number in ("x-1.1", "x-2.1")]


def test_a_build_a_report_and_a_submit_that_cannot_be_handed_over_are_answered_and_the_rest_goes_on(performer, adapters, inbox, change):
    adapters.broken = {"start", "report", "submit"}
    request = type("Request", (), {"id": BuildId("b-1")})()
    performer.perform([StartBuild(request), report(change, "one"), report(change, "two"), submit(change), stages("x-2.1")])
    assert posted(inbox) == [
        BuildDone(BuildId("b-1"), Result.LOST, detail="RuntimeError: start is broken"),
        ReportDone("one", "RuntimeError: report is broken"),
        ReportDone("two", "RuntimeError: report is broken"),
        SubmitDone(BuildSetId("x-1.1"), SubmitUnavailable("RuntimeError: submit is broken")),
    ]
    assert adapters.asked[-1] == stages("x-2.1")


def test_what_needs_no_answer_gets_none(performer, adapters, inbox):
    adapters.broken = {"stop_build", "drop"}
    performer.perform([StopBuild(BuildId("b-1"), "why not"), DropStaging(())])
    assert posted(inbox) == []


def test_a_project_that_is_no_longer_configured_is_answered_so(adapters, inbox, change):
    performer = Performer({}, adapters, adapters, inbox)
    performer.perform([report(change, "one"), submit(change)])
    assert posted(inbox) == [
        ReportDone("one", "project app is not configured", final=True),
        SubmitDone(BuildSetId("x-1.1"), Refused("project app is not configured")),
    ]
