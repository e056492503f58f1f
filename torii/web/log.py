"""Reads a console log piecewise: from its beginning, its end, a line or a place on, never more than a piece at a time.

Everything a piece needs to go on from (place, line number, colours) is in its cursor, so the server remembers nothing but, for
large logs, how many lines each mebibyte has.
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from torii.store.blobs import BlobMissingError, Blobs
from torii.web.ansi import PLAIN, Style, open_sequence, style_after, to_html, unpack

PIECE = 128 * 1024
"""Bytes of a log that are sent at once."""
ROWS = 4000
"""Lines of a log that are sent at once: a browser suffers from rows more than from bytes."""
LINE_LIMIT = 16 * 1024
"""Bytes of one line that are shown in a row; what is more goes on in further rows."""
_LOOK_BACK = 64 * 1024
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in a log: byte `offset`, which is in line `line` (from 1), inside of it where `inside`, with colours `style`."""

    offset: int = 0
    line: int = 1
    inside: bool = False
    style: Style = PLAIN

    def pack(self) -> str:
        return f"{self.offset}_{self.line}_{int(self.inside)}_{self.style.pack()}"


START = Cursor()


def unpack_cursor(word: str) -> Cursor | None:
    """Return the cursor that `Cursor.pack` made `word` of, or None."""
    match = re.fullmatch(r"([0-9]{1,15})_([0-9]{1,15})_([01])_([0-9.bdiuns]{2,20})", word)
    return Cursor(int(match[1]), max(int(match[2]), 1), match[3] == "1", unpack(match[4])) if match else None


@dataclass(frozen=True, slots=True)
class Row:
    """One line, or one more part of a line too long for one row, as HTML. `number` is None for such a further part."""

    number: int | None
    html: str


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows from `start` up to `end`, of a log of `size` bytes; `more` says that bytes follow that were not looked at.

    `pending` is a last line that has no end yet: it stands after `end`, and may change.
    """

    rows: tuple[Row, ...]
    start: Cursor
    end: Cursor
    size: int
    more: bool = False
    pending: Row | None = None


NOTHING = Piece((), START, START, 0)


class LogReader:
    """Pieces of console logs. Safe to be used by several threads."""

    def __init__(self, blobs: Blobs, remembered: int = 64) -> None:
        self._blobs = blobs
        self._remembered = remembered
        self._newlines: OrderedDict[str, list[int]] = OrderedDict()
        self._lock = threading.Lock()

    def after(self, key: str, cursor: Cursor) -> Piece:
        """Return what follows `cursor`."""
        size = self._blobs.size(key) or 0
        data = self._read(key, cursor.offset, PIECE)
        return _piece(data, cursor, size)

    def before(self, key: str, cursor: Cursor) -> Piece:
        """Return what stands before `cursor`, which is at the start of a row."""
        size = self._blobs.size(key) or 0
        end = min(cursor.offset, size)
        start = max(0, end - PIECE)
        data = self._read(key, start, end - start)
        cut = _last_lines(data, begins=start == 0)
        start, data = start + cut, data[cut:]
        line = max(1, cursor.line - data.count(b"\n"))
        return _piece(data, self._at(key, start, line), size, whole=True)

    def tail(self, key: str) -> Piece:
        """Return the last piece."""
        size = self._blobs.size(key) or 0
        start = max(0, size - PIECE + LINE_LIMIT)
        start += _last_lines(self._read(key, start, size - start), begins=start == 0)
        return self.after(key, self._at(key, start, 1 + self._lines_before(key, start)) if start else START)

    def at_line(self, key: str, line: int, context: int = 200) -> Piece:
        """Return a piece that has line `line`, with some before it; the last piece where the log has no such line."""
        wanted = max(1, line - context)
        place = self._place_of(key, wanted)
        return self.tail(key) if place is None else self.after(key, self._at(key, place, wanted))

    def _read(self, key: str, start: int, length: int) -> bytes:
        try:
            return self._blobs.read(key, start, start + length) if length > 0 else b""
        except BlobMissingError:  # not begun yet, or gone meanwhile
            return b""

    def _at(self, key: str, offset: int, line: int) -> Cursor:
        """Return the cursor for `offset`, with the colours that the text before it leaves."""
        back = min(offset, _LOOK_BACK)
        before = self._read(key, offset - back, back)
        inside = bool(before) and not before.endswith(b"\n")
        return Cursor(offset, line, inside, style_after(before.decode("utf-8", "replace")))

    def _lines_before(self, key: str, offset: int) -> int:
        blocks = self._counted(key, offset // _BLOCK)
        whole = min(len(blocks), offset // _BLOCK)
        rest = self._read(key, whole * _BLOCK, offset - whole * _BLOCK)
        return sum(blocks[:whole]) + rest.count(b"\n")

    def _place_of(self, key: str, line: int) -> int | None:
        """Return where line `line` begins, None where the log is shorter."""
        size = self._blobs.size(key) or 0
        left = line - 1
        for number, count in enumerate(self._counted(key, size // _BLOCK)):
            if left <= count:
                return _after_newlines(self._read(key, number * _BLOCK, _BLOCK), left, number * _BLOCK)
            left -= count
        start = size // _BLOCK * _BLOCK
        rest = self._read(key, start, size - start)
        if left > rest.count(b"\n"):
            return None
        place = _after_newlines(rest, left, start)
        return place if place < size else None

    def _counted(self, key: str, blocks: int) -> list[int]:
        """Return how many newlines each of the first `blocks` whole mebibytes has. A log only grows, so they are counted once."""
        with self._lock:
            known = self._newlines.pop(key, [])
            self._newlines[key] = known
            while len(self._newlines) > self._remembered:
                self._newlines.popitem(last=False)
        counts = list(known)
        for number in range(len(counts), blocks):
            block = self._read(key, number * _BLOCK, _BLOCK)
            if len(block) < _BLOCK:
                break
            counts.append(block.count(b"\n"))
        with self._lock:
            if len(counts) > len(self._newlines.get(key, counts)):
                self._newlines[key] = counts
        return counts[:blocks]


def _last_lines(data: bytes, *, begins: bool) -> int:
    """Return where in `data` the last lines begin that fit into one piece; `begins` says that it begins with a line."""
    cut = 0 if begins else data.find(b"\n") + 1
    if cut >= len(data):
        cut = 0
    if data.count(b"\n", cut) > ROWS:
        cut = len(data) - sum(len(line) + 1 for line in data.rsplit(b"\n", ROWS + 1)[1:]) + 1
    return cut


def _after_newlines(data: bytes, count: int, base: int) -> int:
    position = 0
    for _ in range(count):
        position = data.index(b"\n", position) + 1
    return base + position


def _piece(data: bytes, start: Cursor, size: int, *, whole: bool = False) -> Piece:
    """Make rows of `data`, which begins at `start`. `whole`: its last line ends there, newline or not."""
    complete = whole or data.endswith(b"\n")
    last = data.rfind(b"\n") + 1
    pending = b"" if complete else data[last:]
    # A line without end does not wait for it: its beginning is shown. A progress bar may grow longer, since little of it is shown.
    if len(pending) >= (PIECE if b"\r" in pending else LINE_LIMIT):
        last = len(data) - open_sequence(data)
        pending = b""
    body = data if complete else data[:last]
    rows: list[Row] = []
    cursor = start
    for line in _lines(body):
        if len(rows) >= ROWS and not whole:
            return Piece(tuple(rows), start, cursor, size, True)
        made, cursor = _rows(line, cursor)
        rows.extend(made)
    rest: Row | None = None
    if pending:
        made, _ = _rows(pending, cursor)
        rest = made[0]
    return Piece(tuple(rows), start, cursor, size, start.offset + len(data) < size, rest)


def _lines(data: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        end = data.find(b"\n", position) + 1 or len(data)
        yield data[position:end]
        position = end


def _rows(line: bytes, cursor: Cursor) -> tuple[list[Row], Cursor]:
    """Return the rows of one line (or of a part of it) that begins at `cursor`, and the cursor after it."""
    rows: list[Row] = []
    offset, inside, style = cursor.offset, cursor.inside, cursor.style
    ended = line.endswith(b"\n")
    text, style = _uncovered(line[:-1] if ended else line, style)
    position = 0
    while True:
        part = text[position : position + LINE_LIMIT]
        if position + len(part) < len(text):
            part = part[: len(part) - open_sequence(part)] or part
        html, style = to_html(part.decode("utf-8", "replace"), style)
        rows.append(Row(None if inside else cursor.line, html))
        inside = True
        position += len(part)
        if position >= len(text):
            break
    return rows, Cursor(offset + len(line), cursor.line + ended, not ended, style)


def _uncovered(text: bytes, style: Style) -> tuple[bytes, Style]:
    """Return what is left to be seen of a line that was written over with carriage returns, and the style in which that begins."""
    text = text.rstrip(b"\r")
    seen = text.rfind(b"\r") + 1
    return (text[seen:], style_after(text[:seen].decode("utf-8", "replace"), style)) if seen else (text, style)
