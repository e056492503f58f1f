"""What Gerrit says of a change decides whether it may be merged, and its refusals are told in its own words without the noise."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from tests.support.fake_gerrit import FakeGerrit
from tests.support.gerrit_wires import recorded_refusals
from torii.model.change import Change, ChangeStatus
from torii.model.command import Submit
from torii.model.event import Moved, SubmitUnavailable
from torii.model.ids import BuildSetId, ChangeId, ProjectName, Sha
from torii.model.pipeline import MergeMode
from torii.sources.gerrit.derive import Relations, Rules, change_of
from torii.sources.gerrit.facts import Account, ChangeFacts, Requirement, Vote, facts_of
from torii.sources.gerrit.landed import LandedStates
from torii.sources.gerrit.rest import GerritRest
from torii.sources.gerrit.submit import GerritSubmitter, judge, spoken

RULES = Rules("lab", "http://gerrit.example.com", 9, frozenset({"Verified"}))
NEEDS_REVIEW = Requirement("Code-Review", "UNSATISFIED", "label:Code-Review=MAX", failing=frozenset({"label:Code-Review=MAX"}))
NEEDS_US = Requirement("Verified", "UNSATISFIED", "label:Verified=MAX", failing=frozenset({"label:Verified=MAX"}))
REVIEWED = (Vote("Code-Review", 2, Account(1), 0.0),)
FACTS = ChangeFacts(7, ProjectName("app"), "main", ChangeStatus.OPEN, 2, Sha("a" * 40), "refs/7", requirements=(NEEDS_US,), votes=REVIEWED)


def submit(change: Change | None = None) -> Submit:
    tested = change or change_of(FACTS, Relations(), RULES)
    return Submit(BuildSetId("k-1.1"), tested, Sha("0" * 40), Sha("b" * 40), Sha("c" * 40), MergeMode.MERGE_IF_NECESSARY)


def reason(now: ChangeFacts | None, change: Change | None = None) -> str:
    refusal = judge(submit(change), now, RULES)
    return refusal.reason if refusal else ""


def test_what_lacks_only_our_own_vote_may_be_merged() -> None:
    assert judge(submit(), FACTS, RULES) is None


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (None, "lab:7 is gone: it was deleted, or is hidden"),
        (replace(FACTS, status=ChangeStatus.ABANDONED), "lab:7 is gone: it was abandoned"),
        (replace(FACTS, commit=Sha("d" * 40), patchset=3), "lab:7 is at another patch set by now, 3; 2 was tested"),
        (replace(FACTS, branch="stable"), "another branch by now, app stable"),
        (replace(FACTS, wip=True), "lab:7 is no longer approved: it is work in progress"),
        (replace(FACTS, requirements=(NEEDS_REVIEW,)), "no longer approved: Code-Review: needs label:Code-Review=MAX"),
    ],
)
def test_a_change_that_is_not_what_was_tested_is_refused_with_the_reason(now: ChangeFacts | None, words: str) -> None:
    assert words in reason(now)


def test_a_change_that_never_was_approved_is_left_to_gerrit() -> None:
    unapproved = change_of(replace(FACTS, requirements=(NEEDS_REVIEW,)), Relations(), RULES)
    assert judge(submit(unapproved), replace(FACTS, requirements=(NEEDS_REVIEW,)), RULES) is None


def test_a_recorded_change_is_judged_by_its_requirements() -> None:
    path = Path(__file__).resolve().parents[3] / "recordings" / "gerrit" / "rest" / "change-detail.json"
    recorded: dict[str, Any] = json.loads(path.read_text())
    facts = facts_of(recorded.get("reply", recorded))
    tested = replace(change_of(facts, Relations(), RULES), id=ChangeId(f"lab:{facts.number}"), approved=True)
    assert "Code-Review" in reason(facts, tested)


def test_a_refusal_is_told_without_what_gerrit_puts_around_it() -> None:
    texts = {each["name"]: each["reply"] for each in recorded_refusals()}
    assert spoken(texts["submit-not-ready"]) == "Change 1: Change 1 is not ready: submit requirement 'Code-Review' is unsatisfied."
    assert "path conflict" in spoken(texts["submit-conflict-409"])
    assert "Failed to submit" not in spoken(texts["submit-conflict-409"])
    assert spoken("change is merged\n") == "change is merged"
    assert spoken("\n") == "nothing"
    assert len(spoken("x" * 5000)) == 1000


class UnknownStates:
    """A branch of which nothing was fetched."""

    def tree(self, branch: str, commit: Sha) -> Sha | None:
        return None

    def tree_here(self, commit: Sha) -> Sha | None:
        return None


class Submitting(FakeGerrit):
    """Takes note of what is to be merged, and never answers."""

    def __init__(self) -> None:
        super().__init__("app")
        self.posted: list[str] = []

    def post(self, path: str, body: object = None) -> object:
        self.posted.append(path)
        raise AssertionError(f"nobody should merge {path}")


def test_a_topic_that_was_tested_anew_is_not_merged_with_what_was_asked_of_it_before() -> None:
    gerrit = Submitting()
    numbers = [gerrit.push(topic="t"), gerrit.push(topic="t")]
    together = tuple(ChangeId(f"lab:{number}") for number in numbers)
    for number in numbers:
        gerrit.vote(number, 2)
    changes = [replace(change_of(facts_of(gerrit.info(gerrit.changes[n])), Relations(), RULES), together=together) for n in numbers]
    states = {ProjectName("app"): cast(LandedStates, UnknownStates())}
    submitter = GerritSubmitter(cast(GerritRest, gerrit), states, lambda: RULES, threading.Event(), patience=0.0)
    first, second = submitter.submit_all([submit(change) for change in changes])
    assert isinstance(first, Moved)
    assert isinstance(second, Moved)
    again = replace(submit(changes[0]), onto=Sha(gerrit.tips["app"]["main"]))
    assert submitter.submit(again) == SubmitUnavailable("lab:2, which would be merged with it, is not to be merged yet")
    assert gerrit.posted == []
