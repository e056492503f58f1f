from __future__ import annotations

from torii.model.ids import Sha
from torii.sources.git.notes import LARGEST_TEXT, fast_import, format_report, merge_notes, note_paths

A, B = Sha("ab" * 20), Sha("cd" * 20)


def test_a_report_stands_under_its_key():
    assert format_report("k3-1.1:success", "All jobs passed.\n\n- unit\n") == "Torii-Report: k3-1.1:success\nAll jobs passed.\n\n- unit\n"


def test_no_line_of_a_report_can_be_taken_for_the_key_of_another():
    text = format_report(
        "k:success", "x\nTorii-Report: other:success\n\rTorii-Report: third\x0bTorii-Report: fourth\u2028Torii-Report: fifth"
    )
    assert [line for line in text.splitlines() if line.startswith("Torii-Report:")] == ["Torii-Report: k:success"]


def test_a_report_holds_no_control_characters_and_has_an_end():
    text = format_report("k:success", "\x1b[2J\x00" + "x" * 2 * LARGEST_TEXT)
    assert "\x1b" not in text
    assert "\x00" not in text
    assert len(text) < LARGEST_TEXT + 100


def test_a_report_is_added_once_whatever_is_there():
    first = merge_notes({}, [(A, "k:1", format_report("k:1", "one"))])
    assert first == {A: b"Torii-Report: k:1\none\n"}
    assert merge_notes(first, [(A, "k:1", format_report("k:1", "one"))]) == {}
    second = merge_notes(first, [(A, "k:2", format_report("k:2", "two")), (B, "k:3", format_report("k:3", "three"))])
    assert second == {A: b"Torii-Report: k:1\none\n\nTorii-Report: k:2\ntwo\n", B: b"Torii-Report: k:3\nthree\n"}


def test_a_key_that_begins_like_another_is_another():
    first = merge_notes({}, [(A, "k:10", format_report("k:10", "ten"))])
    assert A in merge_notes(first, [(A, "k:1", format_report("k:1", "one"))])


def test_notes_that_others_wrote_are_kept_as_they_are():
    before = {A: b"a note of \xff somebody else"}
    after = merge_notes(before, [(A, "k:1", format_report("k:1", "one"))])
    assert after[A] == b"a note of \xff somebody else\n\nTorii-Report: k:1\none\n"


def test_a_note_may_be_flat_or_fanned_out():
    assert note_paths(A)[:3] == [A, f"ab/{A[2:]}", f"ab/ab/{A[4:]}"]


def test_the_commit_stands_on_the_notes_that_were_there():
    script = fast_import("refs/x", B, {A: b"text\n"}, 1)
    assert f"from {B}\nN inline {A}\ndata 5\ntext\n".encode() in script
    assert b"from" not in fast_import("refs/x", None, {A: b"text\n"}, 1).split(b"N inline")[0].split(b"data")[1][20:]
