"""What a pipeline requires, each lack in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from torii.gate.requirements import unmet
from torii.model.change import Approval, Change
from torii.model.ids import ChangeId, PipelineName, ProjectName, Sha
from torii.model.pipeline import ApprovalRule, Manager, PipelineSpec, Requirements

NOW = 1_000_000.0
CHANGE = Change(ChangeId("g:1"), ProjectName("app"), "main", "1", Sha("c"), "refs/changes/01/1/1", owner="dev", topic="login")
LABEL = "Code-Review"


def lacking(require: Requirements, **fields) -> str:
    return unmet(PipelineSpec(PipelineName("gate"), Manager.DEPENDENT, require=require), replace(CHANGE, **fields), NOW)


def voted(value: int, by: str = "lead", age: float = 60.0, groups: tuple[str, ...] = ()) -> tuple[Approval, ...]:
    return (Approval(LABEL, value, by, NOW - age, groups),)


def test_nothing_required_lacks_nothing():
    assert lacking(Requirements()) == ""


@pytest.mark.parametrize(
    ("require", "fields", "said"),
    [
        (Requirements(approved=True), {}, "it is not approved"),
        (
            Requirements(approved=True),
            {"blockers": ("Code-Review: needs +2", "a comment is open")},
            "Code-Review: needs +2; a comment is open",
        ),
        (Requirements(wip=False), {"wip": True}, "it is work in progress"),
        (Requirements(wip=True), {}, "it is not work in progress"),
        (Requirements(private=False), {"private": True}, "it is private"),
        (Requirements(private=True), {}, "it is not private"),
        (Requirements(topics=("a/*", "b")), {}, "its topic is login, not a/* or b"),
        (Requirements(topics=("a",)), {"topic": ""}, "its topic is empty, not a"),
        (Requirements(topics=("*",)), {"topic": ""}, "its topic is empty, not *"),
        (Requirements(hashtags=("ready",)), {"hashtags": ("other",)}, "it has no hashtag ready"),
        (Requirements(owners=("*@example.com",)), {}, "its owner is dev, not *@example.com"),
        (Requirements(reject_topics=("log*",)), {}, "its topic is login"),
        (Requirements(reject_hashtags=("do-not-*",)), {"hashtags": ("x", "do-not-merge")}, "it has the hashtag do-not-merge"),
        (Requirements(reject_owners=("dev",)), {}, "its owner is dev"),
        (Requirements(approvals=(ApprovalRule(LABEL, 2),)), {"approvals": voted(1)}, "no vote of +2 on Code-Review"),
        (Requirements(reject=(ApprovalRule(LABEL, -1),)), {"approvals": voted(-2)}, "a vote of -1 on Code-Review"),
        (Requirements(reject=(ApprovalRule(LABEL, None),)), {"approvals": voted(1)}, "a vote on Code-Review"),
    ],
)
def test_each_lack_is_said_in_words(require, fields, said):
    assert lacking(require, **fields) == said


@pytest.mark.parametrize(
    ("require", "fields"),
    [
        (Requirements(approved=True), {"approved": True}),
        (Requirements(wip=False, private=False), {}),
        (Requirements(topics=("log*",), owners=("d?v",)), {}),
        (Requirements(hashtags=("ready",)), {"hashtags": ("x", "ready")}),
        (Requirements(reject_topics=("*",)), {"topic": ""}),
        (Requirements(approvals=(ApprovalRule(LABEL, 1),)), {"approvals": voted(2)}),
        (Requirements(approvals=(ApprovalRule(LABEL, None),)), {"approvals": voted(-1)}),
        (Requirements(reject=(ApprovalRule(LABEL, None),)), {"approvals": voted(0)}),
        (Requirements(reject=(ApprovalRule("Verified", -1),)), {"approvals": voted(-1)}),
    ],
)
def test_what_is_there_does_not_lack(require, fields):
    assert lacking(require, **fields) == ""


@pytest.mark.parametrize(
    ("rule", "given", "met"),
    [
        (ApprovalRule(LABEL, 2, users=("lead", "boss")), voted(2, "boss"), True),
        (ApprovalRule(LABEL, 2, users=("lead",)), voted(2, "dev"), False),
        (ApprovalRule(LABEL, 2, groups=("core",)), voted(2, groups=("all", "core")), True),
        (ApprovalRule(LABEL, 2, groups=("core",)), voted(2, groups=("all",)), False),
        (ApprovalRule(LABEL, 2, users=("lead",), groups=("core",)), voted(2, "lead"), True),
        (ApprovalRule(LABEL, 2, users=("lead",), groups=("core",)), voted(2, "dev", groups=("core",)), True),
        (ApprovalRule(LABEL, 2, users=("lead",), groups=("core",)), voted(2, "dev", groups=("all",)), False),
        (ApprovalRule(LABEL, 2, older_than=3600), voted(2, age=3599), False),
        (ApprovalRule(LABEL, 2, older_than=3600), voted(2, age=3600), True),
        (ApprovalRule(LABEL, 2, newer_than=3600), voted(2, age=3601), False),
        (ApprovalRule(LABEL, 2, newer_than=3600), voted(2, age=3600), True),
    ],
)
def test_a_vote_counts_by_who_cast_it_and_how_long_ago(rule, given, met):
    assert (lacking(Requirements(approvals=(rule,)), approvals=given) == "") is met
    assert (lacking(Requirements(reject=(rule,)), approvals=given) == "") is not met
