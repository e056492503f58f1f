"""Reads a build's comments on lines of files, as `reports: {comments: ...}` of a `torii.yml` names it. Pure: bytes in, values out.

Two forms of JSON are taken, which docs/torii-yml.md describes: a list of objects with `path`, `line` and `message`, and Gerrit's own, an
object of path to list, bare or as `comments` of a ReviewInput
(https://gerrit-review.googlesource.com/Documentation/rest-api-changes.html#comment-input). A stranger wrote the file: whatever is wrong
with it becomes a note, never an exception.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torii.model.build import FileComment
from torii.results.layout import UnfitNameError, checked_path
from torii.results.text import clean, clean_line

FILE_LIMIT = 1024 * 1024
"""Bytes read of one file of comments."""
COMMENTS_LIMIT = 200
"""Comments kept of one build."""
MESSAGE_LIMIT = 2000
"""Characters kept of one comment."""
TOTAL_LIMIT = 100_000
"""Characters kept of all comments of one build: they are journalled with its end."""
LINE_LIMIT = 10_000_000
_NOTES_SHOWN = 5
_SPECIAL = frozenset({"/COMMIT_MSG"})
"""What Gerrit calls a file although it is none."""
_NO_LIST = object()

Note = Callable[[str], None]


class _UnfitError(Exception):
    """An entry says nothing that can be shown; the message says why."""


class CommentReader:
    """Gathers the comments of one build from one file or several. `roots` are prefixes of absolute paths that mean the workspace.

    What is wrong is told to `note` in sentences: the first few in full, of the others how many there are.
    """

    def __init__(self, note: Note, roots: Sequence[str] = ()) -> None:
        self._note = note
        self._roots = tuple(f"{root.rstrip('/')}/" for root in roots)
        self._found: dict[FileComment, None] = {}
        self._size = 0
        self._unfit = self._beyond = 0

    def read(self, name: str, data: bytes) -> None:
        """Take in what the file called `name` holds."""
        where = f"comments in {clean_line(name, 120)}"
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            why = f": {clean_line(str(error), 120)}" if isinstance(error, json.JSONDecodeError) else ""
            self._note(f"{where}: it is no JSON{why}")
            return
        try:
            entries = list(_entries(document))
        except _UnfitError as error:
            self._note(f"{where}: {error}")
            return
        for place, entry, path in entries:
            try:
                self._keep(self._comment(entry, path))
            except _UnfitError as error:
                self._unfit += 1
                if self._unfit <= _NOTES_SHOWN:
                    self._note(f"{where}: {place} is left out: {error}")

    def comments(self) -> tuple[FileComment, ...]:
        """Return what was gathered, in the order of the files, after a note on what was left out."""
        if self._unfit > _NOTES_SHOWN:
            self._note(f"comments: {self._unfit - _NOTES_SHOWN} more are left out for reasons of that kind")
        if self._beyond:
            limit = f"the first {COMMENTS_LIMIT}, and no more than {TOTAL_LIMIT:,} characters"
            self._note(f"comments: {self._beyond} are left out, for only {limit} are kept")
        return tuple(self._found)

    def _keep(self, comment: FileComment) -> None:
        if comment in self._found:
            return
        size = len(comment.path) + len(comment.message)
        if len(self._found) >= COMMENTS_LIMIT or self._size + size > TOTAL_LIMIT:
            self._beyond += 1
            return
        self._size += size
        self._found[comment] = None

    def _comment(self, entry: Any, path: Any) -> FileComment:
        if entry is _NO_LIST:
            raise _UnfitError("it is no list")
        if not isinstance(entry, dict):
            raise _UnfitError("it is no object")
        path = self._path(path if path is not None else _first(entry, "path", "file", "filename"))
        message = _first(entry, "message")
        if not isinstance(message, str) or not (text := clean(message[: MESSAGE_LIMIT * 4]).strip()):
            raise _UnfitError("it has no message")
        if len(text) > MESSAGE_LIMIT:
            text = text[: MESSAGE_LIMIT - 1].rstrip() + "…"
        return FileComment(path, text, *_lines(entry))

    def _path(self, path: Any) -> str:
        if not isinstance(path, str) or not path:
            raise _UnfitError("it has no path")
        if path in _SPECIAL:
            return path
        for root in self._roots:
            path = path.removeprefix(root)
        while path.startswith("./"):
            path = path[2:]
        try:
            return checked_path(path)
        except UnfitNameError:
            raise _UnfitError(f"{path[:80]!a} is no path of a file below the workspace") from None


def _entries(document: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield where an entry is, the entry, and its path where that stands outside of it."""
    match document:
        case list():
            for number, entry in enumerate(document, 1):
                yield f"entry {number}", entry, None
        case {"comments": dict() | None as inner}:  # the `comments` of a file called so would be a list
            yield from _entries(inner or {})
        case dict():
            for path, entries in document.items():
                shown = f"{clean_line(path, 80)!r}"
                if not isinstance(entries, list):
                    yield f"what it says of {shown}", _NO_LIST, path
                    continue
                for number, entry in enumerate(entries, 1):
                    yield f"entry {number} of {shown}", entry, path
        case _:
            raise _UnfitError("it is neither a list nor an object; see docs/torii-yml.md for the two forms it may have")


def _lines(entry: dict[str, Any]) -> tuple[int | None, int | None]:
    """Return the first line that `entry` means, and the last one where there are several."""
    range_ = entry.get("range")
    if isinstance(range_, dict):
        first, last = _line(_first(range_, "start_line", "start")), _line(_first(range_, "end_line", "end"))
    else:
        first, last = None, None
    first = first or _line(_first(entry, "line", "start_line"))
    last = last or _line(entry.get("end_line"))
    if first is None:
        first, last = last, None
    return first, (last if last is not None and first is not None and last > first else None)


def _line(value: Any) -> int | None:
    """Return a line's number; 0 and nothing mean the whole file, as linters write it."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    if value is None or (value == 0 and value is not False):
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LINE_LIMIT:
        raise _UnfitError(f"{clean_line(str(value)[:60], 40)!r} is no number of a line")
    return value


def _first(entry: dict[str, Any], *names: str) -> Any:
    return next((entry[name] for name in names if entry.get(name) is not None), None)
