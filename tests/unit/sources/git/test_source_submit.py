from __future__ import annotations

from dataclasses import replace

from torii.model.change import Change
from torii.model.command import Submit
from torii.model.event import Moved, Refused
from torii.model.ids import BuildSetId, ChangeId, ProjectName, Sha
from torii.model.pipeline import MergeMode
from torii.sources.git.submit import Standing, judge

BASE, TIP, A, B = (Sha(digit * 40) for digit in "0123")
CHANGE = Change(ChangeId("app:main/a"), ProjectName("app"), "main", A, A, "refs/heads/review/main/a", approved=True)
SUBMIT = Submit(BuildSetId("k-1.1"), CHANGE, BASE, Sha("9" * 40), Sha("8" * 40), MergeMode.MERGE_ALWAYS)


def test_an_approved_change_on_an_unmoved_branch_may_be_merged():
    assert judge(SUBMIT, Standing(BASE, A, A)) is None
    assert judge(SUBMIT, Standing(BASE, None, A)) is None


def test_a_moved_branch_is_said_so():
    assert judge(SUBMIT, Standing(TIP, A, A)) == Moved(TIP)


def test_a_branch_that_is_gone_is_refused():
    assert judge(SUBMIT, Standing(None, A, A)) == Refused("the branch main is gone")


def test_a_change_that_is_gone_moved_or_disapproved_is_refused_first():
    for now, words in (
        (Standing(TIP, None, None), "is gone"),
        (Standing(TIP, B, B), "another patch set"),
        (Standing(BASE, A, None), "no longer approved"),
        (Standing(BASE, A, B), "approves"),
        (Standing(BASE, None, B), "another patch set"),
    ):
        verdict = judge(SUBMIT, now)
        assert isinstance(verdict, Refused)
        assert words in verdict.reason


def test_where_no_approval_was_asked_for_none_is_missed():
    submit = replace(SUBMIT, change=replace(CHANGE, approved=False))
    assert judge(submit, Standing(BASE, A, None)) is None
