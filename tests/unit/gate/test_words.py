"""The sentences in which the gate gives its reasons."""

from __future__ import annotations

import pytest

from torii.gate import words
from torii.gate.state import Build, BuildPhase, BuildSet, SetPhase
from torii.model.build import Result, StagedBranch, TestSummary
from torii.model.ids import BuildId, BuildSetId, ChangeId, ItemId, ProjectName, Sha
from torii.model.job import JobDefinition
from torii.model.pipeline import ApprovalRule, Cause

AHEAD, OWN = (ChangeId("app:main/ahead"), "1"), (ChangeId("app:main/own"), "1")


def build_set(*, ahead: bool = True, tests: TestSummary | None = None) -> BuildSet:
    build = Build(BuildId("b"), JobDefinition("unit", "true"), True)
    build.phase, build.result, build.tests = BuildPhase.DONE, Result.FAILURE, tests
    made = BuildSet(BuildSetId("x-2.1"), ItemId("x-2"), None)
    made.phase, made.builds, made.changes = SetPhase.BUILDING, [build], (AHEAD, OWN) if ahead else (OWN,)
    return made


def test_what_was_tested_on_top_of_a_change_is_said_so_when_that_change_has_merged():
    assert words.failure(build_set()) == "unit failed on top of app:main/ahead"


def test_what_was_tested_alone_stands_on_the_branch_tip():
    assert words.failure(build_set(ahead=False)) == "unit failed on the branch tip"


def test_what_was_tested_alone_names_the_branch_as_soon_as_that_is_known():
    assert words.ground(build_set(ahead=False), "stable/1") == "on the tip of stable/1"
    assert words.ground(build_set(ahead=True), "stable/1") == "on top of app:main/ahead"
    staged = build_set(ahead=False)
    staged.staged = (StagedBranch(ProjectName("app"), "main", Sha("0"), Sha("1"), Sha("2"), "refs/staging/x"),)
    assert words.failure(staged) == "unit failed on the tip of main"


def test_the_first_failing_test_is_named():
    failing = TestSummary(total=9, failed=1, failing=("tests.login",))
    assert words.failure(build_set(tests=failing)) == "unit failed (tests.login) on top of app:main/ahead"


def test_further_failing_tests_are_counted_and_a_long_name_is_cut():
    failing = TestSummary(total=9, failed=3, failing=("x" * 500, "y"))
    assert words.failure(build_set(tests=failing)) == f"unit failed ({'x' * 79}… and 2 more) on top of app:main/ahead"


def test_a_job_that_failed_without_a_failing_test_names_none():
    assert words.failure(build_set(tests=TestSummary(total=9))) == "unit failed on top of app:main/ahead"


def ended(result: Result, detail: str, *, tests: TestSummary | None = None) -> BuildSet:
    made = build_set(tests=tests)
    made.builds[0].result, made.builds[0].detail = result, detail
    return made


def test_who_aborted_a_build_is_said():
    assert words.failure(ended(Result.ABORTED, "aborted in Jenkins by admin")) == (
        "unit was aborted in Jenkins by admin on top of app:main/ahead"
    )
    assert words.failure(ended(Result.ABORTED, "aborted in Jenkins")) == "unit was aborted in Jenkins on top of app:main/ahead"
    assert (
        words.failure(ended(Result.ABORTED, "somebody cancelled it")) == "unit was aborted on top of app:main/ahead: somebody cancelled it"
    )


def test_why_a_job_was_not_built_is_said_and_cut():
    assert words.failure(ended(Result.NOT_BUILT, "x" * 500)) == f"unit was not built on top of app:main/ahead: {'x' * 79}…"


def test_a_detail_that_only_says_what_the_tests_say_is_left_out():
    failing = TestSummary(total=9, failed=1, failing=("tests.login",))
    assert words.failure(ended(Result.UNSTABLE, "1 of 9 tests failed", tests=failing)) == (
        "unit was unstable (tests.login) on top of app:main/ahead"
    )


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_words(cause):
    assert words.cause(cause)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (ApprovalRule("Code-Review", 2), "vote of +2 on Code-Review"),
        (ApprovalRule("Code-Review", -1, users=("dev",)), "vote of -1 on Code-Review by dev"),
        (ApprovalRule("Verified", None, users=("a", "b"), groups=("leads",)), "vote on Verified by a, b or group leads"),
        (ApprovalRule("Verified", 1, older_than=7200, newer_than=86_400), "vote of +1 on Verified, at least 2 h old, at most 1 d old"),
        (ApprovalRule("Verified", 1, older_than=90), "vote of +1 on Verified, at least 90 s old"),
    ],
)
def test_a_rule_of_votes_is_told_in_words(rule, said):
    assert words.vote(rule) == said
