"""How the bytes of a stream become hints. The stream itself needs a server: see tests/system/gerrit/test_stream_faults.py."""

from __future__ import annotations

import json

import pytest

from tests.support.gerrit_wires import recorded_events
from torii.model.ids import ProjectName
from torii.sources.gerrit.hints import RESYNC, Hint, hint_of
from torii.sources.gerrit.lines import EventLines

DEMO = ProjectName("demo")


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


def test_a_whole_recording_is_read_as_one_batch() -> None:
    events = list(recorded_events("3.13").values())
    lines = EventLines()
    found = lines.feed(b"".join(json.dumps(event).encode() + b"\n" for event in events))
    assert found == list(dict.fromkeys(hint for hint in map(hint_of, events) if hint))
    assert (lines.lines, lines.unreadable) == (len(events), 0)
