"""What linters and reviewers write about lines of files is read, whatever the form, and never trusted."""

from __future__ import annotations

import json

import pytest

from torii.model.build import FileComment
from torii.results import comments
from torii.results.comments import CommentReader


def read(document: object, *roots: str) -> tuple[tuple[FileComment, ...], list[str]]:
    notes: list[str] = []
    reader = CommentReader(notes.append, roots)
    reader.read("comments.json", document if isinstance(document, bytes) else json.dumps(document).encode())
    return reader.comments(), notes


def test_a_list_of_objects_is_read():
    found, notes = read(
        [
            {"path": "src/a.py", "line": 3, "message": "unused import"},
            {"file": "./src/b.py", "line": "12", "end_line": 14, "message": "too long\r\nand too wide", "severity": "warning"},
            {"path": "src/b.py", "range": {"start_line": 2, "start_character": 1, "end_line": 5, "end_character": 9}, "message": "a block"},
            {"path": "README", "message": "is missing a title"},
            {"path": "/COMMIT_MSG", "line": 7, "message": "longer than 72"},
        ]
    )
    assert found == (
        FileComment("src/a.py", "unused import", 3),
        FileComment("src/b.py", "too long\nand too wide", 12, 14),
        FileComment("src/b.py", "a block", 2, 5),
        FileComment("README", "is missing a title"),
        FileComment("/COMMIT_MSG", "longer than 72", 7),
    )
    assert notes == []


GERRITS = {
    "src/a.py": [
        {"line": 23, "message": "[nit] trailing space", "unresolved": False},
        {"range": {"start_line": 50, "start_character": 0, "end_line": 55, "end_character": 20}, "line": 55, "message": "split this"},
        {"message": "no licence"},
    ],
    "b/c.txt": [],
}


@pytest.mark.parametrize("document", [GERRITS, {"comments": GERRITS}, {"comments": GERRITS, "message": "hello", "labels": {}}])
def test_gerrits_own_form_is_read_bare_or_as_a_review(document):
    found, notes = read(document)
    assert found == (
        FileComment("src/a.py", "[nit] trailing space", 23),
        FileComment("src/a.py", "split this", 50, 55),
        FileComment("src/a.py", "no licence"),
    )
    assert notes == []


def test_a_file_that_is_called_comments_may_have_comments():
    assert read({"comments": [{"line": 1, "message": "hm"}]})[0] == (FileComment("comments", "hm", 1),)


@pytest.mark.parametrize("nothing", [[], {}, {"comments": {}}, {"comments": None}])
def test_nothing_to_say_is_no_mistake(nothing):
    assert read(nothing) == ((), [])


def test_a_path_that_the_build_knew_as_an_absolute_one_is_that_below_the_workspace():
    found, notes = read([{"path": "/build/workspace/src/a.py", "line": 1, "message": "m"}], "/build/workspace")
    assert found == (FileComment("src/a.py", "m", 1),)
    assert notes == []


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"[" * 200_000, "no JSON"),
        (b"\xff\xfe\xfa", "no JSON"),
        (b"9" * 10_000, "no JSON"),
        (b"null", "neither a list nor an object"),
        (b'"text"', "neither a list nor an object"),
    ],
)
def test_what_is_no_list_of_comments_is_said_in_one_note(data, word):
    found, notes = read(data)
    assert found == ()
    assert len(notes) == 1
    assert notes[0].startswith("comments in comments.json: ")
    assert word in notes[0]


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        (7, "no object"),
        ({"line": 1, "message": "m"}, "no path"),
        ({"path": 3, "message": "m"}, "no path"),
        ({"path": "a"}, "no message"),
        ({"path": "a", "message": " \x1b[31m\x07 "}, "no message"),
        ({"path": "a", "message": ["m"]}, "no message"),
        ({"path": "../a", "message": "m"}, "'../a' is no path of a file below the workspace"),
        ({"path": "/etc/passwd", "message": "m"}, "no path of a file"),
        ({"path": "a\nb", "message": "m"}, "no path of a file"),
        ({"path": "a" * 1000, "message": "m"}, "no path of a file"),
        ({"path": "\ud800", "message": "m"}, "no path of a file"),
        ({"path": "a", "message": "m", "line": "three"}, "'three' is no number of a line"),
        ({"path": "a", "message": "m", "line": -1}, "no number of a line"),
        ({"path": "a", "message": "m", "line": 1.5}, "no number of a line"),
        ({"path": "a", "message": "m", "line": True}, "no number of a line"),
        ({"path": "a", "message": "m", "line": 10**12}, "no number of a line"),
        ({"path": "a", "message": "m", "range": {"start_line": []}}, "no number of a line"),
    ],
)
def test_an_entry_that_says_nothing_is_left_out_with_a_reason_and_the_others_are_kept(entry, word):
    found, notes = read([{"path": "ok", "message": "first"}, entry, {"path": "ok", "message": "last"}])
    assert [comment.message for comment in found] == ["first", "last"]
    assert len(notes) == 1
    assert notes[0].startswith("comments in comments.json: entry 2 is left out: ")
    assert word in notes[0]


def test_in_gerrits_form_a_note_names_the_file():
    found, notes = read({"a.py": {"line": 3}, "b.py": [{"line": 3}, {"message": "m"}]})
    assert found == (FileComment("b.py", "m"),)
    assert notes == [
        "comments in comments.json: what it says of 'a.py' is left out: it is no list",
        "comments in comments.json: entry 1 of 'b.py' is left out: it has no message",
    ]


@pytest.mark.parametrize(
    ("lines", "read_as"),
    [
        ({"line": 0}, (None, None)),
        ({"line": None, "end_line": 5}, (5, None)),
        ({"line": 5, "end_line": 5}, (5, None)),
        ({"line": 5, "end_line": 3}, (5, None)),
        ({"start_line": 2, "end_line": 4}, (2, 4)),
        ({"range": {"start_line": 2, "end_line": 2}, "line": 2}, (2, None)),
        ({"range": "nonsense", "line": 2}, (2, None)),
    ],
)
def test_lines_mean_what_linters_mean_by_them(lines, read_as):
    (comment,), _ = read([{"path": "a", "message": "m", **lines}])
    assert (comment.line, comment.end_line) == read_as


def test_the_same_said_twice_is_kept_once():
    assert read([{"path": "a", "line": 1, "message": "x" * 1999}] * 300) == ((FileComment("a", "x" * 1999, 1),), [])


def test_a_long_message_is_cut():
    (comment,), _ = read([{"path": "a", "message": "x" * 1_000_000}])
    assert len(comment.message) == comments.MESSAGE_LIMIT
    assert comment.message.endswith("x…")


def test_terminal_sequences_and_turned_writing_do_not_come_through():
    (comment,), _ = read([{"path": "a", "message": "\x1b[31mred\x1b[0m \u202egnp\x00\tend"}])
    assert comment.message == "red gnp\tend"


def test_of_many_comments_the_first_are_kept_and_the_rest_counted():
    found, notes = read([{"path": "a", "line": number, "message": "m"} for number in range(1, comments.COMMENTS_LIMIT + 11)])
    assert len(found) == comments.COMMENTS_LIMIT
    assert notes == ["comments: 10 are left out, for only the first 200, and no more than 100,000 characters are kept"]


def test_all_comments_together_are_limited_in_size():
    found, notes = read([{"path": "a", "line": number, "message": "x" * 1999} for number in range(1, 101)])
    assert len(found) == 50
    assert notes[0].startswith("comments: 50 are left out")


def test_of_many_mistakes_the_first_are_told_and_the_rest_counted():
    _, notes = read([{}] * 100)
    assert len(notes) == 6
    assert notes[-1] == "comments: 95 more are left out for reasons of that kind"


def test_several_files_count_as_one():
    notes: list[str] = []
    reader = CommentReader(notes.append)
    reader.read("one.json", b'[{"path": "a", "message": "one"}]')
    reader.read("two.json", b"nonsense")
    reader.read("three.json", b'\xef\xbb\xbf{"a": [{"message": "three"}]}')
    assert [comment.message for comment in reader.comments()] == ["one", "three"]
    assert len(notes) == 1
