"""Reports side by side, submits in order, and no submit before its change's reports."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pytest

from tests.support.source_lab import Mailbox
from tests.support.waiting import wait_until
from torii.model.change import Change
from torii.model.command import Report, Submit, Verdict
from torii.model.event import Merged, ReportDone, SubmitDone, SubmitUnavailable
from torii.model.ids import BuildSetId, ChangeId, ItemId, PipelineName, ProjectName, Sha
from torii.model.pipeline import MergeMode
from torii.sources.gerrit.errands import Errands


def change(number: int, *together: int) -> Change:
    ids = tuple(ChangeId(f"lab:{each}") for each in together)
    return Change(ChangeId(f"lab:{number}"), ProjectName("app"), "main", "1", Sha("a" * 40), "refs/changes/1", together=ids)


def report(number: int, key: str = "") -> Report:
    key = key or f"{number}:success"
    return Report(key, ItemId("i"), PipelineName("gate"), change(number), Verdict.SUCCESS, "passed", votes=(("Verified", 1),))


def submit(number: int, *together: int) -> Submit:
    return Submit(BuildSetId(str(number)), change(number, *together), Sha("b"), Sha("c"), Sha("d"), MergeMode.MERGE_ALWAYS)


class Desk:
    """Delivers and submits; what is in `held` waits, what is in `failing` cannot be delivered."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.batches: list[list[str]] = []
        self.held: set[str] = set()
        self.failing: set[str] = set()
        self.released = threading.Condition()
        self.breaks = False

    def release(self, *what: str) -> None:
        with self.released:
            self.held -= set(what)
            self.released.notify_all()

    def deliver(self, report: Report) -> ReportDone:
        with self.released:
            self.released.wait_for(lambda: report.key not in self.held, 10.0)
        if report.key in self.failing:
            return ReportDone(report.key, "Gerrit is away")
        self.done.append(f"report {report.key}{' again' if report.again else ''}")
        return ReportDone(report.key)

    def submit_all(self, submits: Sequence[Submit]) -> list[Merged | SubmitUnavailable]:
        if self.breaks:
            raise RuntimeError("bug")
        with self.released:
            self.released.wait_for(lambda: "submits" not in self.held, 10.0)
        self.done += [f"submit {each.build_set}" for each in submits]
        self.batches.append([each.build_set for each in submits])
        return [Merged(each.commit, each.tree) for each in submits]


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def box() -> Mailbox:
    return Mailbox()


@pytest.fixture
def tried() -> list[str]:
    return []


@pytest.fixture
def stopping() -> threading.Event:
    return threading.Event()


@pytest.fixture
def errands(desk: Desk, box: Mailbox, tried: list[str], stopping: threading.Event) -> Iterator[Errands]:
    errands = Errands("lab", desk, desk, box, lambda submits: tried.extend(each.build_set for each in submits), stopping)
    yield errands
    stopping.set()
    desk.release(*desk.held)
    assert errands.close(5.0)


def answers(box: Mailbox, kind: type) -> list:
    return [event for event in list(box.events) if isinstance(event, kind)]


def test_a_submit_waits_for_the_reports_of_its_change_and_for_no_others(errands, desk, box, tried):
    desk.held = {"1:success", "2:success"}
    errands.report([report(1), report(2)])
    errands.submit(submit(1))
    with pytest.raises(TimeoutError):
        wait_until(lambda: desk.done, 0.1)
    desk.release("1:success")
    wait_until(lambda: answers(box, SubmitDone))
    assert desk.done == ["report 1:success", "submit 1"]
    assert tried == ["1"]


def test_each_report_is_answered_once_and_those_of_a_change_in_order(errands, desk, box):
    errands.report([report(number, f"{number}:{step}") for number in range(10) for step in range(3)])
    wait_until(lambda: len(answers(box, ReportDone)) == 30)
    for number in range(10):
        assert [done for done in desk.done if done.startswith(f"report {number}:")] == [f"report {number}:{step}" for step in range(3)]


def test_submits_that_wait_go_together_a_few_at_a_time(errands, desk, box):
    desk.held = {"submits"}
    errands.submit(submit(0))
    for number in range(1, 8):
        errands.submit(submit(number))
    desk.release("submits")
    wait_until(lambda: len(answers(box, SubmitDone)) == 8)
    assert [number for batch in desk.batches for number in batch] == [str(number) for number in range(8)]
    assert max(map(len, desk.batches)) <= 5


def test_what_merges_together_is_asked_for_together(errands, desk, box):
    desk.held = {"1:success"}
    errands.report([report(1)])
    for number in (1, 2, 3):
        errands.submit(submit(number, 1, 2, 3))
    desk.release("1:success")
    wait_until(lambda: len(answers(box, SubmitDone)) == 3)
    assert [number for batch in desk.batches for number in batch] == ["1", "2", "3"]


def test_a_vote_that_did_not_get_through_is_cast_before_the_merge_is_tried_again(errands, desk, box):
    desk.failing = {"1:success"}
    errands.report([report(1)])
    wait_until(lambda: answers(box, ReportDone))
    desk.failing.clear()
    errands.submit(submit(1))
    wait_until(lambda: answers(box, SubmitDone))
    assert desk.done == ["report 1:success again", "submit 1"]
    assert [answer.error for answer in answers(box, ReportDone)] == ["Gerrit is away", ""]
    errands.submit(submit(1))
    wait_until(lambda: len(answers(box, SubmitDone)) == 2)
    assert desk.done[-1] == "submit 1"
    assert len(answers(box, ReportDone)) == 2


def test_a_bug_in_a_submit_is_an_answer(errands, desk, box):
    desk.breaks = True
    errands.submit(submit(1))
    wait_until(lambda: answers(box, SubmitDone))
    assert "RuntimeError: bug" in answers(box, SubmitDone)[0].outcome.reason


def test_stopped_it_answers_nothing_more(errands, desk, box, stopping):
    desk.held = {"1:success"}
    errands.report([report(1)])
    errands.submit(submit(1))
    stopping.set()
    desk.release("1:success")
    assert errands.close(5.0)
    assert answers(box, SubmitDone) == []


def test_what_is_submitted_behind_a_topic_waits_for_its_own_report_too(errands, desk, box):
    desk.held = {"submits", "3:success"}
    errands.submit(submit(0))
    errands.report([report(3)])
    for number, together in ((1, (1, 2)), (2, (1, 2)), (3, ())):
        errands.submit(submit(number, *together))
    desk.release("submits")
    with pytest.raises(TimeoutError):
        wait_until(lambda: "submit 3" in desk.done, 0.3)
    desk.release("3:success")
    wait_until(lambda: len(answers(box, SubmitDone)) == 4)
    assert desk.done.index("report 3:success") < desk.done.index("submit 3")


def test_a_vote_that_did_not_get_through_is_not_cast_after_a_newer_one(errands, desk, box):
    desk.failing = {"1:failure"}
    errands.report([report(1, "1:failure")])
    wait_until(lambda: answers(box, ReportDone))
    desk.failing.clear()
    errands.report([report(1, "1b:success")])
    errands.submit(submit(1))
    wait_until(lambda: answers(box, SubmitDone))
    assert desk.done == ["report 1b:success", "submit 1"]
