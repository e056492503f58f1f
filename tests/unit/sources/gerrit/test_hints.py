"""Where Gerrit's events say to look: each kind that a real one sent, and what nobody should send."""

from __future__ import annotations

import pytest

from tests.support.gerrit_wires import recorded_events
from torii.model.ids import ProjectName
from torii.sources.gerrit.hints import RESYNC, Hint, hint_of
from torii.sources.gerrit.lines import EventLines

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


def line(number: int) -> bytes:
    return b'{"type":"patchset-created","change":{"project":"demo","number":%d}}\n' % number


def test_lines_are_read_however_they_are_cut_into_pieces() -> None:
    text = b"".join(line(number) for number in range(1, 20))
    for size in (1, 7, 64, len(text)):
        lines = EventLines()
        found = [hint for start in range(0, len(text), size) for hint in lines.feed(text[start : start + size])]
        assert [hint.change for hint in found] == list(range(1, 20))
        assert (lines.end(), lines.lines, lines.unreadable) == ([], 19, 0)


def test_what_comes_at_once_is_said_once() -> None:
    assert EventLines().feed(line(1) + line(2) + line(1)) == [Hint(DEMO, change=1), Hint(DEMO, change=2)]


@pytest.mark.parametrize(
    "garbage", [b"garbage\n", b'{"type":\n', b"\xff\xfe\x00\n", b"[1]\n", b"null\n", b"[" * 100_000 + b"\n", b"9" * 5000 + b"\n"]
)
def test_garbage_asks_for_a_resync_and_what_stands_around_it_is_read(garbage: bytes) -> None:
    lines = EventLines()
    assert lines.feed(line(1) + garbage + line(2)) == [Hint(DEMO, change=1), RESYNC, Hint(DEMO, change=2)]
    assert lines.unreadable == 1


def test_empty_lines_are_nothing() -> None:
    lines = EventLines()
    assert lines.feed(b"\n\r\n  \n" + line(3)) == [Hint(DEMO, change=3)]
    assert lines.end() == []


def test_a_line_longer_than_any_event_is_given_up_and_not_held_in_memory() -> None:
    lines = EventLines(longest=100)
    assert lines.feed(b"x" * 101) == [RESYNC]
    assert [lines.feed(b"x" * 1000) for _ in range(5)] == [[]] * 5
    assert len(lines._rest) == 0
    assert lines.feed(b"the end of it\n" + line(4)) == [Hint(DEMO, change=4)]
    assert lines.feed(b"y" * 200 + b"\n" + line(5)) == [RESYNC, Hint(DEMO, change=5)]
    assert lines.unreadable == 2


def test_a_line_that_the_end_of_the_stream_cuts_asks_for_a_resync() -> None:
    lines = EventLines()
    assert lines.feed(line(1) + line(2)[:-9]) == [Hint(DEMO, change=1)]
    assert lines.end() == [RESYNC]
    assert lines.end() == []
