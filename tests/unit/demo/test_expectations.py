"""Whoever judges the demo can say no: each way in which the evidence may be wrong is found and said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.unit.demo.values import as_expected, build, on_gerrit, sha, stay
from torii.demo.evidence import BranchEvidence, Evidence, GateState
from torii.demo.expectations import Expectation, branch_differences, differences, expectations
from torii.demo.plain import plain_id
from torii.demo.projects import CHEAP_TEA, CLEAR_NAMES, PRINT_RECEIPT, SELL_JUICE
from torii.demo.workshop import Branches, Customs, Review
from torii.model.build import Result
from torii.model.ids import BuildSetId

PLAIN, GERRIT = Customs(), Customs(one_by_one=True, own_merges=True)
EXPECTED = {expected.change: expected for expected in expectations(plain_id)}
ON_GERRIT = {expected.name: expected for expected in expectations(on_gerrit)}
FIRST, SECOND, THIRD = map(plain_id, (CLEAR_NAMES, PRINT_RECEIPT, SELL_JUICE))
CHEAP = plain_id(CHEAP_TEA)


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
    (FIRST, lambda found: replace(found, landed=False), "is not on main"),
    (FIRST, lambda found: replace(found, standing=Branches(frozenset({"gate"}))), "merged, but still has its branch in gate/"),
    (CHEAP, lambda found: replace(found, standing=Branches()), "its review branch is gone, though it did not merge"),
    (CHEAP, ended("check", "success"), "in check it is 'success' (), and was to be 'merge conflict'"),
    (SECOND, lambda found: replace(found, told=found.told.replace("tests.receipt", "")), "Torii has not written '* tests.receipt' on it"),
    (SECOND, ended("gate", "merged"), "in gate it is 'merged' (), and was to be 'failure'"),
    (SECOND, with_a_job_that_ended("unit", Result.SUCCESS), "in gate the job unit ended SUCCESS, and was to end FAILURE"),
    ("library:main/check-spelling", without_builds, "in check the job spelling ended not at all, and was to end SUCCESS"),
    (THIRD, only_first_state, "the gate tested it in 1 state, and was to in 2 states"),
    (THIRD, never_on_top_of_the_second, f"state 1 of it in the gate lacks {SECOND}"),
    (THIRD, with_the_second_still_in, f"state 2 of it in the gate holds {SECOND}, and must not"),
    (THIRD, lambda found: replace(found, stays=found.stays[:1]), "was never in gate"),
    (
        CHEAP,
        lambda found: replace(found, stays=(*found.stays, stay(CHEAP, "gate"))),
        "was in gate, where nobody wanted it",
    ),
    ("app@main", lambda found: replace(found, artifacts=frozenset()), "its builds left no dist/app.tar"),
]


@pytest.mark.parametrize(("change", "turn", "sentence"), WRONG, ids=[sentence for _, _, sentence in WRONG])
def test_what_is_wrong_is_said(change, turn, sentence):
    expected = EXPECTED[change]
    assert f"{change}: {sentence}" in differences(expected, turn(as_expected(expected)))


def review(expected: Expectation) -> Review:
    return Review("MERGED", 1) if expected.merges else Review("NEW", -1)


@pytest.mark.parametrize("name", ON_GERRIT)
def test_on_gerrit_evidence_that_is_as_expected_has_no_differences(name):
    assert differences(ON_GERRIT[name], as_expected(ON_GERRIT[name], review(ON_GERRIT[name]))) == []


WRONG_ON_GERRIT: list[tuple[str, Callable[[Evidence], Evidence], str]] = [
    ("sell-tea", lambda found: replace(found, standing=Review("NEW", 1)), "Gerrit says that it is NEW, and was to say MERGED"),
    ("sell-tea", lambda found: replace(found, standing=Review()), "Gerrit says that it is not there, and was to say MERGED"),
    ("sell-tea", lambda found: replace(found, standing=Review("MERGED", 0)), "Torii's vote on it is +0, and was to be +1"),
    ("cheap-tea", lambda found: replace(found, standing=Review("NEW", 1)), "Torii's vote on it is +1, and was to be -1"),
    ("print-receipt", lambda found: replace(found, standing=Review("MERGED", -1)), "Gerrit says that it is MERGED, and was to say NEW"),
    ("cheap-tea", lambda found: replace(found, told="Build succeeded."), "Torii has not written 'menu.txt' on it"),
    (
        "sell-juice",
        lambda found: replace(found, tested=(replace(found.tested[0], contains=frozenset()), found.tested[1])),
        f"state 1 of it in the gate lacks {on_gerrit(PRINT_RECEIPT)}",
    ),
]


@pytest.mark.parametrize(("name", "turn", "sentence"), WRONG_ON_GERRIT, ids=[sentence for _, _, sentence in WRONG_ON_GERRIT])
def test_what_is_wrong_on_gerrit_is_said(name, turn, sentence):
    expected = ON_GERRIT[name]
    assert f"{expected.change}: {sentence}" in differences(expected, turn(as_expected(expected, review(expected))))


def branch(*numbers: int, project: str = "app", before: str = "jobs: {unit}", now: str = "jobs: {unit, spelling}") -> BranchEvidence:
    return BranchEvidence(project, tuple(map(sha, numbers)), {sha(number): sha(100 + number) for number in numbers}, before, now)


def states_of(*numbers: int) -> dict[str, GateState]:
    return {f"app:main/{number}": GateState(BuildSetId(f"x-{number}.1"), sha(number), sha(100 + number), frozenset()) for number in numbers}


ORDER = ("app:main/1", "app:main/2", "app:main/3")


def test_a_branch_of_what_was_tested_is_right():
    assert branch_differences(branch(1, 2, 3), states_of(3, 1, 2), ORDER, PLAIN) == []


def test_a_commit_that_nobody_tested_is_found():
    [sentence] = branch_differences(branch(1, 2, 3), states_of(1, 2), ORDER, PLAIN)
    assert sentence == f"app@main: main has {sha(3)[:12]}, which is not what was tested of any change"


def test_a_tree_other_than_the_tested_one_is_found():
    states = states_of(1, 2, 3)
    states["app:main/2"] = replace(states["app:main/2"], tree=sha(999))
    [sentence] = branch_differences(branch(1, 2, 3), states, ORDER, PLAIN)
    assert "main has the tree" in sentence and sha(999)[:12] in sentence


def test_a_merge_that_is_missing_is_found():
    assert branch_differences(branch(1, 2), states_of(1, 2), ORDER, PLAIN) == ["app@main: main has 2 merges, 3 were to come"]


@pytest.mark.parametrize("configs", [{"before": "jobs: {spelling}"}, {"now": "jobs: {unit}"}])
def test_a_job_that_is_not_new_proves_nothing(configs):
    [sentence] = branch_differences(branch(1, project="library", **configs), states_of(1), ORDER[:1], PLAIN)
    assert sentence == "library@main: torii.yml on main does not show that the job spelling is new"


def test_staging_refs_that_are_left_are_found():
    left = replace(branch(1, 2, 3), staging=("refs/staging/gate/x-1.1/main",))
    assert branch_differences(left, states_of(1, 2, 3), ORDER, PLAIN) == [
        "app@main: 1 staging refs are left, such as refs/staging/gate/x-1.1/main"
    ]


def landed(*trees: int) -> BranchEvidence:
    """A branch with commits of somebody else's making, which have these trees."""
    return replace(branch(*range(51, 51 + len(trees))), trees={sha(51 + place): sha(tree) for place, tree in enumerate(trees)})


def test_merges_of_somebody_elses_making_are_right_where_their_trees_are_the_tested_ones():
    assert branch_differences(landed(101, 102, 103), states_of(1, 2, 3), ORDER, GERRIT) == []


@pytest.mark.parametrize(
    ("found", "states", "sentence"),
    [
        (landed(101, 999, 103), states_of(1, 2, 3), f"main has the tree {sha(999)[:12]} at {sha(52)[:12]}"),
        (landed(101, 103, 102), states_of(1, 2, 3), f"main has the tree {sha(103)[:12]} at {sha(52)[:12]}"),
        (landed(101, 102, 103, 104), states_of(1, 2, 3), f"main has {sha(54)[:12]}, after all that was to merge"),
        (landed(101, 102, 103), states_of(1, 2), f"main has {sha(53)[:12]} where app:main/3 was to come, which has not merged"),
        (landed(101, 102), states_of(1, 2, 3), "main has 2 merges, 3 were to come"),
    ],
    ids=["another tree", "another order", "one too many", "one not tested", "one missing"],
)
def test_merges_of_somebody_elses_making_are_judged_by_tree_and_order(found, states, sentence):
    assert any(sentence in said for said in branch_differences(found, states, ORDER, GERRIT))
