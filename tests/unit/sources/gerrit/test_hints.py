"""Where Gerrit's events say to look: each kind that a real one sent, and what nobody should send."""

from __future__ import annotations

import pytest

from tests.support.gerrit_wires import recorded_events
from torii.model.ids import ProjectName
from torii.sources.gerrit.hints import RESYNC, Hint, hint_of

DEMO = ProjectName("demo")
NOT_OF_A_CHANGE: dict[str, Hint | None] = {
    "batch-ref-updated": None,
    "dropped-output": RESYNC,
    "project-created": Hint(ProjectName("demo-dccf")),
    "project-head-updated": None,
    "ref-updated-branch": Hint(DEMO, branch="master"),
    "ref-updated-branch-created": Hint(DEMO, branch="feature/x"),
    "ref-updated-branch-deleted": Hint(DEMO, branch="feature/x"),
    "ref-updated-change-meta": None,
    "ref-updated-direct-push": Hint(DEMO, branch="master"),
    "ref-updated-on-project-create": Hint(ProjectName("demo-dccf"), branch="main"),
    "ref-updated-submit": Hint(DEMO, branch="master"),
    "ref-updated-tag": None,
}
RECORDED = [(version, name, event) for version in ("3.13", "3.10") for name, event in recorded_events(version).items()]


@pytest.mark.parametrize(("version", "name", "event"), RECORDED, ids=[f"{version}-{name}" for version, name, _ in RECORDED])
def test_every_recorded_event_says_where_to_look(version: str, name: str, event: dict[str, object]) -> None:
    if name in NOT_OF_A_CHANGE:
        wanted = NOT_OF_A_CHANGE[name]
        if version == "3.10" and wanted is not None and wanted.project not in {DEMO, ""}:
            wanted = Hint(ProjectName(str(event.get("projectName") or event["refUpdate"]["project"])), branch=wanted.branch)  # type: ignore[index]
        assert hint_of(event) == wanted
    else:
        change = event["change"]
        assert isinstance(change, dict)
        assert hint_of(event) == Hint(ProjectName(change["project"]), change=change["number"])


def test_the_refs_of_changes_of_configuration_of_staging_and_tags_are_noise() -> None:
    for ref in (
        "refs/changes/01/1/meta",
        "refs/changes/01/1/2",
        "refs/meta/config",
        "refs/staging/gate/x/main",
        "refs/tags/v1",
        "refs/heads/",
    ):
        assert hint_of({"type": "ref-updated", "refUpdate": {"project": "demo", "refName": ref}}) is None


def test_the_short_name_of_a_branch_is_one_too() -> None:
    assert hint_of({"type": "ref-updated", "refUpdate": {"project": "demo", "refName": "stable/1"}}) == Hint(DEMO, branch="stable/1")


def test_a_batch_names_its_branch_and_several_at_once_the_project() -> None:
    meta = {"project": "demo", "refName": "refs/changes/07/107/meta"}
    main, stable = ({"project": "demo", "refName": f"refs/heads/{name}"} for name in ("main", "stable"))
    assert hint_of({"type": "batch-ref-updated", "refUpdates": [meta, main, meta]}) == Hint(DEMO, branch="main")
    assert hint_of({"type": "batch-ref-updated", "refUpdates": [main, stable]}) == Hint(DEMO)


def test_an_unknown_kind_of_event_counts_where_it_names_a_change() -> None:
    assert hint_of({"type": "from-a-plug-in", "change": {"project": "demo", "number": 7}}) == Hint(DEMO, change=7)
    assert hint_of({"type": "from-a-plug-in", "something": "else"}) is None


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"type": 3, "projectName": []},
        {"type": "project-created"},
        {"type": "comment-added", "change": {"project": "demo"}},
        {"type": "comment-added", "change": {"project": "", "number": 1}},
        {"type": "comment-added", "change": {"project": "demo", "number": True}},
        {"type": "comment-added", "change": {"project": "demo", "number": -1}},
        {"type": "comment-added", "change": {"project": "demo", "number": "9" * 30}},
        {"type": "comment-added", "change": {"project": 4, "number": 1}},
        {"type": "ref-updated", "refUpdate": {"refName": "refs/heads/main"}},
        {"type": "ref-updated", "refUpdate": {"project": "demo", "refName": None}},
        {"type": "batch-ref-updated", "refUpdates": ["garbage", None]},
    ],
)
def test_an_event_that_lacks_what_it_must_have_is_no_hint(event: dict[str, object]) -> None:
    assert hint_of(event) is None


def test_numbers_as_text_are_those_of_old_gerrits() -> None:
    assert hint_of({"type": "comment-added", "change": {"project": "demo", "number": "12"}}) == Hint(DEMO, change=12)


@pytest.mark.parametrize("number", [2**31, 10**40, "9" * 19])
def test_a_number_that_no_change_can_have_says_nothing(number: int | str) -> None:
    assert hint_of({"type": "comment-added", "change": {"project": "demo", "number": number}}) is None
