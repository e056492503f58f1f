"""Whoever judges the demo can say no: each way in which the evidence may be wrong is found and said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.unit.demo.values import as_expected, build, sha, stay
from torii.demo.evidence import BranchEvidence, Evidence, GateState
from torii.demo.expectations import CHANGES, RELEASES, branch_differences, differences
from torii.demo.projects import CHEAP_TEA, CLEAR_NAMES, PRINT_RECEIPT, SELL_JUICE
from torii.model.build import Result
from torii.model.ids import BuildSetId

EXPECTED = {expected.change: expected for expected in (*CHANGES, *RELEASES)}
SECOND, THIRD = PRINT_RECEIPT.change, SELL_JUICE.change


@pytest.mark.parametrize("change", EXPECTED)
def test_evidence_that_is_as_expected_has_no_differences(change):
    assert differences(EXPECTED[change], as_expected(EXPECTED[change])) == []


@pytest.mark.parametrize("change", EXPECTED)
def test_a_change_of_which_nothing_is_known_differs(change):
    assert differences(EXPECTED[change], Evidence(change, landed=not EXPECTED[change].merges))


def only_first_state(found: Evidence) -> Evidence:
    return replace(found, tested=found.tested[:1])


def never_on_top_of_the_second(found: Evidence) -> Evidence:
    first, again = found.tested
    return replace(found, tested=(replace(first, contains=first.contains - {SECOND}), again))


def with_the_second_still_in(found: Evidence) -> Evidence:
    first, again = found.tested
    return replace(found, tested=(first, replace(again, contains=again.contains | {SECOND})))


def ended(pipeline: str, outcome: str) -> Callable[[Evidence], Evidence]:
    def turn(found: Evidence) -> Evidence:
        stays = [replace(one, item=replace(one.item, outcome=outcome)) if one.item.pipeline == pipeline else one for one in found.stays]
        return replace(found, stays=tuple(stays))

    return turn


def in_the_gate(found: Evidence) -> Evidence:
    return replace(found, stays=(*found.stays, stay(found.change, "gate")))


def without_builds(found: Evidence) -> Evidence:
    return replace(found, stays=tuple(replace(one, builds=()) for one in found.stays))


def with_a_job_that_ended(job: str, result: Result) -> Callable[[Evidence], Evidence]:
    def turn(found: Evidence) -> Evidence:
        stays = [
            replace(one, builds=tuple(build(each.job, result if each.job == job else each.result, item=each.item) for each in one.builds))
            for one in found.stays
        ]
        return replace(found, stays=tuple(stays))

    return turn


WRONG: list[tuple[str, Callable[[Evidence], Evidence], str]] = [
    (SECOND, lambda found: replace(found, landed=True), "is on main, and must not be"),
    (CLEAR_NAMES.change, lambda found: replace(found, landed=False), "is not on main"),
    (CLEAR_NAMES.change, lambda found: replace(found, branches=frozenset({"gate"})), "merged, but still has its branch in gate/"),
    (CHEAP_TEA.change, lambda found: replace(found, branches=frozenset()), "its review branch is gone, though it did not merge"),
    (CHEAP_TEA.change, ended("check", "success"), "in check it is 'success' (), and was to be 'merge conflict'"),
    (SECOND, lambda found: replace(found, note=found.note.replace("tests.receipt", "")), "its git note does not say '* tests.receipt'"),
    (SECOND, ended("gate", "merged"), "in gate it is 'merged' (), and was to be 'failure'"),
    (SECOND, with_a_job_that_ended("unit", Result.SUCCESS), "in gate the job unit ended SUCCESS, and was to end FAILURE"),
    ("library:main/check-spelling", without_builds, "in check the job spelling ended not at all, and was to end SUCCESS"),
    (THIRD, only_first_state, "the gate tested it in 1 state, and was to in 2 states"),
    (THIRD, never_on_top_of_the_second, f"state 1 of it in the gate lacks {SECOND}"),
    (THIRD, with_the_second_still_in, f"state 2 of it in the gate holds {SECOND}, and must not"),
    (THIRD, lambda found: replace(found, stays=found.stays[:1]), "was never in gate"),
    (
        CHEAP_TEA.change,
        lambda found: replace(found, stays=(*found.stays, stay(CHEAP_TEA.change, "gate"))),
        "was in gate, where nobody wanted it",
    ),
    ("app@main", lambda found: replace(found, artifacts=frozenset()), "its builds left no dist/app.tar"),
]


@pytest.mark.parametrize(("change", "turn", "sentence"), WRONG, ids=[sentence for _, _, sentence in WRONG])
def test_what_is_wrong_is_said(change, turn, sentence):
    expected = EXPECTED[change]
    assert f"{change}: {sentence}" in differences(expected, turn(as_expected(expected)))


def branch(*numbers: int, project: str = "app", before: str = "jobs: {unit}", now: str = "jobs: {unit, spelling}") -> BranchEvidence:
    return BranchEvidence(project, tuple(map(sha, numbers)), {sha(number): sha(100 + number) for number in numbers}, before, now)


def states_of(*numbers: int) -> dict[str, GateState]:
    return {f"app:main/{number}": GateState(BuildSetId(f"x-{number}.1"), sha(number), sha(100 + number), frozenset()) for number in numbers}


def test_a_branch_of_what_was_tested_is_right():
    assert branch_differences(branch(1, 2, 3), states_of(3, 1, 2)) == []


def test_a_commit_that_nobody_tested_is_found():
    [sentence] = branch_differences(branch(1, 2, 3), states_of(1, 2))
    assert sentence == f"app@main: main has {sha(3)[:12]}, which is not what was tested of any change"


def test_a_tree_other_than_the_tested_one_is_found():
    states = states_of(1, 2, 3)
    states["app:main/2"] = replace(states["app:main/2"], tree=sha(999))
    [sentence] = branch_differences(branch(1, 2, 3), states)
    assert "main has the tree" in sentence and sha(999)[:12] in sentence


def test_a_merge_that_is_missing_is_found():
    assert branch_differences(branch(1, 2), states_of(1, 2)) == ["app@main: main has 2 merges, 3 were to come"]


@pytest.mark.parametrize("configs", [{"before": "jobs: {spelling}"}, {"now": "jobs: {unit}"}])
def test_a_job_that_is_not_new_proves_nothing(configs):
    [sentence] = branch_differences(branch(1, project="library", **configs), states_of(1))
    assert sentence == "library@main: torii.yml on main does not show that the job spelling is new"


def test_staging_refs_that_are_left_are_found():
    left = replace(branch(1, 2, 3), staging=("refs/staging/gate/x-1.1/main",))
    assert branch_differences(left, states_of(1, 2, 3)) == ["app@main: 1 staging refs are left, such as refs/staging/gate/x-1.1/main"]
