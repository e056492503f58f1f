"""Logs are read in pieces that fit together, from wherever one begins."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torii.store.blobs import FolderBlobs
from torii.web import log
from torii.web.ansi import PLAIN, Style
from torii.web.log import START, Cursor, LogReader, unpack_cursor

KEY = "builds/x/console.log"


class Memory(FolderBlobs):
    """The folder backend, which counts the bytes that are read."""

    def __init__(self, path: Path, content: bytes = b"") -> None:
        super().__init__(path)
        self.bytes_read = 0
        self.put(KEY, content)

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        data = super().read(key, start, end)
        self.bytes_read += len(data)
        return data


@pytest.fixture
def reader(tmp_path):
    """Make a reader of a log with this content."""

    def make(content: bytes) -> LogReader:
        return LogReader(Memory(tmp_path / "blobs", content))

    return make


def shown(piece):
    return [(row.number, re.sub("<[^>]*>", "", row.html)) for row in piece.rows]


def everything(reader: LogReader):
    cursor, rows = START, []
    for _ in range(10_000):
        piece = reader.after(KEY, cursor)
        rows += shown(piece)
        cursor = piece.end
        if not piece.more:
            return rows + ([(piece.pending.number, re.sub("<[^>]*>", "", piece.pending.html))] if piece.pending else [])
    raise AssertionError("it never ends")


def test_a_log_that_is_not_there_is_empty(tmp_path):
    reader = LogReader(FolderBlobs(tmp_path))
    for piece in (reader.after(KEY, START), reader.tail(KEY), reader.at_line(KEY, 5), reader.before(KEY, START)):
        assert (piece.rows, piece.pending, piece.size, piece.more) == ((), None, 0, False)


def test_lines_are_numbered_and_the_unfinished_one_waits(reader):
    piece = reader(b"one\r\ntwo\n\nfo").after(KEY, START)
    assert shown(piece) == [(1, "one"), (2, "two"), (3, "")]
    assert piece.pending is not None
    assert (piece.pending.number, piece.pending.html) == (4, "fo")
    assert piece.end == Cursor(10, 4)


def test_what_was_written_over_is_not_shown_but_its_colour_goes_on(reader):
    piece = reader(b"10%\r\x1b[32m50%\r100%\nnext\n").after(KEY, START)
    assert [row.html for row in piece.rows] == ['<span class="f2">100%</span>', '<span class="f2">next</span>']


def test_pieces_of_a_large_log_fit_together(reader):
    lines = [f"line {number} \x1b[3{number % 8}mcoloured {'x' * (number % 90)}\x1b[0m" for number in range(20_000)]
    read = reader("\n".join(lines).encode())
    rows = everything(read)
    assert rows == [(number, re.sub("\x1b[^m]*m", "", line)) for number, line in enumerate(lines, 1)]


def test_the_tail_has_the_right_numbers_and_colours_and_reads_back_to_the_start(reader):
    content = b"".join(b"\x1b[33mline %d\n" % number for number in range(1, 60_001))
    read = reader(content)
    piece = read.tail(KEY)
    assert shown(piece)[-1] == (60_000, "line 60000")
    assert not piece.more
    assert piece.start.style == Style(ink=3)
    back = []
    for _ in range(100):
        back = shown(piece) + back
        if piece.start.offset == 0:
            break
        piece = read.before(KEY, piece.start)
    assert back == [(number, f"line {number}") for number in range(1, 60_001)]


@pytest.mark.parametrize("line", [1, 2, 777, 99_999, 200_000])
def test_any_line_can_be_shown_with_some_before_it(reader, line):
    read = reader(b"".join(b"line %d\n" % number for number in range(1, 200_001)))
    rows = dict(shown(read.at_line(KEY, line)))
    assert rows[line] == f"line {line}"
    assert min(rows) == max(1, line - 200)


def test_a_line_that_is_not_there_shows_the_end(reader):
    read = reader(b"one\ntwo\n")
    assert shown(read.at_line(KEY, 10**12)) == [(1, "one"), (2, "two")]


def test_showing_a_large_log_again_reads_little_of_it(tmp_path):
    blobs = Memory(tmp_path, (b"x" * 79 + b"\n") * 400_000)
    read = LogReader(blobs)
    assert shown(read.tail(KEY))[-1][0] == 400_000
    blobs.bytes_read = 0
    read.tail(KEY)
    read.at_line(KEY, 200_000)
    assert blobs.bytes_read < 6 * 1024 * 1024


def test_a_log_of_nothing_but_newlines_comes_in_pieces_of_bounded_rows(reader):
    read = reader(b"\n" * 300_000)
    tail = read.tail(KEY)
    assert (tail.rows[-1].number, tail.more) == (300_000, False)
    before = read.before(KEY, tail.start)
    assert before.rows[-1].number == tail.rows[0].number - 1
    first = read.after(KEY, START)
    assert (first.rows[-1].number, first.more) == (log.ROWS, True)
    assert all(log.ROWS - 2 <= len(piece.rows) <= log.ROWS + 1 for piece in (tail, before, first))


def test_a_line_without_end_is_shown_in_parts(reader):
    rows = everything(reader(b"y" * 1_000_000 + b"\nend\n"))
    assert "".join(text for _, text in rows[:-1]) == "y" * 1_000_000
    assert [number for number, _ in rows if number] == [1, 2]
    assert all(len(text) <= log.LINE_LIMIT for _, text in rows)


def test_a_progress_bar_without_end_stays_small(reader):
    rows = everything(reader(b"".join(b"\r%d%%" % (number % 101) for number in range(400_000))))
    assert len(rows) < 50


def test_binary_garbage_is_shown_as_something(reader):
    rows = everything(reader(bytes(range(256)) * 2000))
    assert rows
    assert not re.search("[\x00-\x08\x0b-\x1f]", "".join(text for _, text in rows))


def test_a_growing_log_goes_on_where_it_was(tmp_path):
    blobs = Memory(tmp_path)
    read = LogReader(blobs)
    with blobs.append(KEY) as writer:
        writer.write(b"\x1b[31mone\ntw")
        first = read.after(KEY, START)
        writer.write(b"o\nthree\n")
    second = read.after(KEY, first.end)
    assert shown(second) == [(2, "two"), (3, "three")]
    assert second.rows[0].html == '<span class="f1">two</span>'


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=40), max_size=30), st.integers(1, 60))
def test_pieces_of_any_size_show_the_same(tmp_path_factory, parts, piece):
    content = b"\n".join(part.replace(b"\r", b"").replace(b"\x1b", b"") for part in parts)
    blobs = Memory(tmp_path_factory.mktemp("blobs"), content)
    whole = everything(LogReader(blobs))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log, "PIECE", piece + 40)
        assert [number for number, _ in everything(LogReader(blobs)) if number] == [number for number, _ in whole if number]


@pytest.mark.parametrize("cursor", [START, Cursor(1, 2, True, Style(ink=3, bold=True)), Cursor(10**12, 10**9, False, PLAIN)])
def test_a_packed_cursor_comes_back(cursor):
    assert unpack_cursor(cursor.pack()) == cursor


@pytest.mark.parametrize("word", ["", "1_2", "a_1_0_..", "-1_1_0_..", "1_1_2_..", "1_1_0_<b>", "9" * 99 + "_1_0_.."])
def test_what_is_no_cursor_is_none(word):
    assert unpack_cursor(word) is None
