"""Which triggers an occurrence fires, and what it asks for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from torii.gate.triggers import COMMAND, Entry, causes_of, compiled, entry, fires_on_branch
from torii.model.change import Approval, Change
from torii.model.event import BranchMoved, ChangeUpdated
from torii.model.ids import ChangeId, PipelineName, ProjectName, Sha
from torii.model.pipeline import ApprovalRule, Cause, Manager, PipelineSpec, Trigger

NOW = 1_000_000.0
CHANGE = Change(ChangeId("g:1"), ProjectName("app"), "stable/1", "2", Sha("c"), "refs/changes/01/1/2", topic="login", hashtags=("a", "b"))
RECHECK = r"recheck(?:\s+(?P<jobs>.+))?"


def said(comment: str = "", cause: Cause = Cause.COMMENT_ADDED, **fields) -> ChangeUpdated:
    return ChangeUpdated(CHANGE, cause, "key", comment=comment, **{"by": "dev", **fields})


def asked(event: ChangeUpdated, *triggers: Trigger) -> Entry | None:
    spec = PipelineSpec(PipelineName("check"), Manager.INDEPENDENT, triggers)
    return entry(spec, event, causes_of(event, None), NOW)


def vote(value: int, by: str = "lead") -> tuple[Approval, ...]:
    return (Approval("Code-Review", value, by, NOW),)


@pytest.mark.parametrize(
    ("trigger", "fires"),
    [
        (Trigger(Cause.COMMENT_ADDED), True),
        (Trigger(Cause.READY), True),
        (Trigger(Cause.PATCHSET_CREATED), False),
        (Trigger(Cause.COMMENT_ADDED, branches=("main", "stable/*")), True),
        (Trigger(Cause.COMMENT_ADDED, branches=("main",)), False),
        (Trigger(Cause.COMMENT_ADDED, topics=("log*",)), True),
        (Trigger(Cause.COMMENT_ADDED, topics=("x",)), False),
        (Trigger(Cause.COMMENT_ADDED, hashtags=("x", "b")), True),
        (Trigger(Cause.COMMENT_ADDED, hashtags=("x",)), False),
        (Trigger(Cause.COMMENT_ADDED, users=("d*",)), True),
        (Trigger(Cause.COMMENT_ADDED, users=("lead",)), False),
        (Trigger(Cause.COMMENT_ADDED, groups=("x", "core")), True),
        (Trigger(Cause.COMMENT_ADDED, groups=("x",)), False),
        (Trigger(Cause.COMMENT_ADDED, files=("docs/**",)), True),
        (Trigger(Cause.COMMENT_ADDED, files=("src/**",)), False),
        (Trigger(Cause.COMMENT_ADDED, votes=(ApprovalRule("Code-Review", 2),)), True),
        (Trigger(Cause.COMMENT_ADDED, votes=(ApprovalRule("Verified", 1), ApprovalRule("Code-Review", None))), True),
        (Trigger(Cause.COMMENT_ADDED, votes=(ApprovalRule("Code-Review", 2, users=("boss",)),)), False),
        (Trigger(Cause.COMMENT_ADDED, topics=("login",), users=("lead",)), False),
    ],
)
def test_all_that_a_trigger_gives_must_match(trigger, fires):
    event = said(also=(Cause.READY,), groups=("core",), files=("docs/a", "b"), votes=vote(2))
    assert (asked(event, trigger) is not None) is fires


def test_where_the_files_are_not_known_any_may_be_among_them():
    assert asked(said(), Trigger(Cause.COMMENT_ADDED, files=("src/**",))) is not None
    assert asked(said(files=()), Trigger(Cause.COMMENT_ADDED, files=("src/**",))) is None


@pytest.mark.parametrize(
    ("comment", "jobs"),
    [
        ("recheck", ()),
        ("Patch Set 2: Code-Review+1\n\n  ReCheck  ", ()),
        ("recheck unit", ("unit",)),
        ("recheck unit, lint\tdocs,unit", ("unit", "lint", "docs")),
        ("recheck unit\nand also\nrecheck lint", ("unit", "lint")),
        ("recheck unit\nrecheck", ()),
    ],
)
def test_a_comment_asks_for_all_jobs_or_for_some(comment, jobs):
    found = asked(said(comment), Trigger(Cause.COMMENT_ADDED, comment=RECHECK))
    assert found is not None
    assert found.anew == jobs


@pytest.mark.parametrize("comment", ["", "please recheck", "rechecking", "re\ncheck", "recheck " + "x" * COMMAND])
def test_a_command_is_a_line_of_its_own_and_not_endless(comment):
    assert asked(said(comment), Trigger(Cause.COMMENT_ADDED, comment=RECHECK)) is None


def test_an_expression_without_the_group_asks_for_all():
    found = asked(said("go on\ngate it!"), Trigger(Cause.COMMENT_ADDED, comment="gate it.?"))
    assert found == Entry('dev asked for it ("gate it!")', ())


def test_an_expression_is_compiled_once():
    assert compiled(RECHECK) is compiled(RECHECK)


def test_what_asks_for_jobs_anew_is_the_reason_where_another_trigger_fires_as_well():
    found = asked(said("recheck", also=(Cause.READY,)), Trigger(Cause.READY), Trigger(Cause.COMMENT_ADDED, comment=RECHECK))
    assert found == Entry('dev asked for it ("recheck")', ())


def test_what_is_no_comment_asks_for_nothing_anew_but_a_recheck():
    assert asked(said(cause=Cause.READY), Trigger(Cause.READY)) == Entry("ready for review")
    assert asked(said(cause=Cause.RECHECK), Trigger(Cause.RECHECK)) == Entry("recheck asked for", ())


@pytest.mark.parametrize(
    ("before", "approved"),
    [
        (None, False),
        (replace(CHANGE, approved=False), True),
        (replace(CHANGE, approved=True), False),
        (replace(CHANGE, approved=True, patchset="1"), True),
    ],
)
def test_a_change_that_was_known_without_approval_and_has_it_was_approved(before, approved):
    event = ChangeUpdated(replace(CHANGE, approved=True), Cause.UPDATED, "key")
    assert (Cause.APPROVED in causes_of(event, before)) is approved
    assert Cause.APPROVED not in causes_of(said(), before)


def test_a_branch_that_moved_fires_what_can_be_said_of_a_branch():
    moved = BranchMoved(ProjectName("app"), "main", Sha("a"), Sha("b"), "key", by="dev")

    def fires(**fields) -> bool:
        return fires_on_branch(PipelineSpec(PipelineName("post"), Manager.SUPERCEDENT, (Trigger(Cause.BRANCH_UPDATED, **fields),)), moved)

    assert fires()
    assert fires(branches=("main",), users=("dev",), files=("src/**",))
    assert not fires(branches=("x",))
    assert not fires(users=("x",))
    assert not fires(topics=("x",))
    assert not fires(comment="x")
