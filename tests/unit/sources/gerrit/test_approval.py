"""When a change is submittable but for Torii's own votes, and what is said when it is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.sources.gerrit.test_facts import recording
from torii.sources.gerrit.approval import blockers
from torii.sources.gerrit.expression import Demand, UnreadableExpressionError, unmet
from torii.sources.gerrit.facts import Account, ChangeFacts, Requirement, Vote, facts_of

OURS = frozenset({"Verified"})
TORII = 1000002
GOOD = Vote("Code-Review", 2, Account(6), 0.0)


def with_requirements(*requirements: Requirement, **more: object) -> ChangeFacts:
    return replace(facts_of(recording("change-detail")), requirements=requirements, **{"votes": (GOOD,), **more})


def requirement(expression: str, *passing: str, failing: tuple[str, ...] = (), status: str = "UNSATISFIED", error: str = "") -> Requirement:
    return Requirement("Rule", status, expression, frozenset(passing), frozenset(failing), error)


def test_a_fresh_change_lacks_a_review_and_torii_says_so_of_nothing_else():
    assert blockers(facts_of(recording("change-detail")), OURS, TORII) == ("Code-Review: needs label:Code-Review=MAX",)
    assert blockers(facts_of(recording("change-detail-3.10")), OURS, TORII) == ("Code-Review: needs label:Code-Review=MAX",)


def test_a_veto_on_a_label_with_a_function_of_old_is_told_from_a_missing_vote():
    facts = facts_of(recording("change-detail-3.10"))
    veto = replace(facts, votes=(Vote("Code-Review", -2, Account(7), 0.0),))
    assert blockers(veto, OURS, TORII)[-1] == "Code-Review: must not have label:Code-Review=MIN"


def test_without_labels_of_its_own_torii_waits_for_others():
    assert blockers(facts_of(recording("change-detail")), frozenset(), TORII)[1:] == ("Verified: needs label:Verified=MAX",)


def test_what_is_submittable_is_approved():
    before = recording("submit-requirements-before")
    info = recording("change-detail") | {"submit_requirements": before["submit_requirements"]}
    assert blockers(replace(facts_of(info), votes=(GOOD,)), OURS, TORII) == ()


@pytest.mark.parametrize("status", ["SATISFIED", "OVERRIDDEN", "NOT_APPLICABLE", "FORCED"])
def test_what_is_fulfilled_in_any_way_is_no_blocker(status):
    assert blockers(with_requirements(requirement("label:X=MAX", status=status)), OURS, TORII) == ()


def test_a_veto_in_the_same_rule_as_torii_s_label_is_seen():
    rule = requirement("label:Verified=MAX AND -label:Code-Review=MIN", "label:Code-Review=MIN", failing=("label:Verified=MAX",))
    assert blockers(with_requirements(rule), OURS, TORII) == ("Rule: must not have label:Code-Review=MIN",)


def test_somebody_else_s_veto_on_torii_s_label_blocks_and_torii_s_own_does_not():
    rule = requirement("label:Verified=MAX AND -label:Verified=MIN", "label:Verified=MIN", failing=("label:Verified=MAX",))
    mine = Vote("Verified", -1, Account(TORII), 0.0)
    assert blockers(with_requirements(rule, votes=(GOOD, mine)), OURS, TORII) == ()
    theirs = replace(mine, by=Account(7))
    assert blockers(with_requirements(rule, votes=(mine, theirs)), OURS, TORII) == ("Rule: must not have label:Verified=MIN",)


def test_where_no_rule_asks_for_a_human_a_human_must_have_voted_for_it_all_the_same():
    rule = requirement("label:Verified=MAX", failing=("label:Verified=MAX",))
    passed = Vote("Verified", 1, Account(TORII), 0.0)
    assert blockers(with_requirements(rule, votes=(passed,)), OURS, TORII) == ("nobody has voted for it",)
    assert blockers(with_requirements(votes=(), submittable=True), OURS, TORII) == ("nobody has voted for it",)
    assert blockers(with_requirements(rule, votes=(replace(GOOD, value=1),)), OURS, TORII) == ()


def test_of_alternatives_all_are_named_where_none_is_there():
    rule = requirement("label:A=MAX OR (label:B=MAX -label:C=MIN)", failing=("label:A=MAX", "label:B=MAX", "label:C=MIN"))
    assert blockers(with_requirements(rule), OURS, TORII) == ("Rule: needs label:A=MAX", "Rule: needs label:B=MAX")


def test_work_in_progress_and_errors_are_named():
    rule = requirement("label:A=", status="ERROR", error="cannot parse label:A=")
    assert blockers(with_requirements(rule, wip=True), OURS, TORII) == ("it is work in progress", "Rule: cannot parse label:A=")


@pytest.mark.parametrize("expression", ["", "((", "label:A=MAX )", "AND", "label:A=MAX OR"])
def test_a_rule_that_cannot_be_read_blocks_by_what_fails(expression):
    with pytest.raises(UnreadableExpressionError):
        unmet(expression, lambda atom, wanted: True)
    assert blockers(with_requirements(requirement(expression, failing=("label:A=MAX", "label:Verified=MAX"))), OURS, TORII) == (
        "Rule: needs label:A=MAX",
    )
    assert blockers(with_requirements(requirement(expression)), OURS, TORII) == ("Rule: unsatisfied",)


@pytest.mark.parametrize(
    ("expression", "missing"),
    [
        ("a", ["a"]),
        ("a b", ["a", "b"]),
        ("a AND b", ["a", "b"]),
        ("NOT x", ["-x"]),
        ("-x", ["-x"]),
        ("NOT (x OR y)", ["-x", "-y"]),
        ("-(x y)", ["-x", "-y"]),
        ("NOT -a", ["a"]),
        ('message:"a (b) OR c" a', ['message:"a (b) OR c"', "a"]),
        ("label:Code-Review=MAX,user=non_uploader", ["label:Code-Review=MAX,user=non_uploader"]),
    ],
)
def test_the_language_of_rules(expression, missing):
    found = unmet(expression, lambda atom, wanted: False)
    assert [demand.atom if demand.wanted else f"-{demand.atom}" for demand in found] == missing


def test_one_alternative_is_enough():
    assert unmet("a OR b", lambda atom, wanted: atom == "b") == ()
    assert unmet("NOT (a AND b)", lambda atom, wanted: atom == "b") == ()
    assert unmet("(a OR b) AND c", lambda atom, wanted: atom == "b") == (Demand("c", wanted=True),)
