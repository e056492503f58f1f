"""Cuts what comes of a stream into lines and reads them: each is one event, in JSON. What is none is counted, and asks for a resync."""

from __future__ import annotations

import json

from torii.sources.gerrit.hints import RESYNC, Hint, hint_of

LONGEST = 4 * 1024 * 1024
"""Bytes a line. Gerrit's longest, a change with a huge commit message, stay far below."""

_from_text = json.JSONDecoder().decode
"""Faster than `json.loads` of bytes, which first looks for the encoding: Gerrit's is UTF-8."""


class EventLines:
    """Turns pieces of a stream into hints. `unreadable` counts the lines that were no events; `lines` all of them."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._longest = longest
        self._rest = b""
        self._skipping = False
        self.lines = 0
        self.unreadable = 0

    def feed(self, piece: bytes) -> list[Hint]:
        """Return the hints of the lines that `piece` completes, in order, each once."""
        *complete, rest = (self._rest + piece).split(b"\n")
        hints: dict[Hint, None] = {}
        for line in complete:
            if self._skipping:
                self._skipping = False  # the end of a line that was given up
                continue
            self._read(line, hints)
        if self._skipping:
            rest = b""
        elif len(rest) > self._longest:
            self._unreadable(hints)
            self._skipping = True
            rest = b""
        self._rest = rest
        return list(hints)

    def end(self) -> list[Hint]:
        """Return what follows from the end of the stream: a resync, where it came in the middle of a line."""
        hints: dict[Hint, None] = {}
        if self._rest.strip() or self._skipping:
            self._unreadable(hints)
        self._rest, self._skipping = b"", False
        return list(hints)

    def _read(self, line: bytes, hints: dict[Hint, None]) -> None:
        if not line or line.isspace():
            return
        self.lines += 1
        try:
            event = _from_text(line.decode()) if len(line) <= self._longest else None
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict):
            self._unreadable(hints)
        elif hint := hint_of(event):
            hints[hint] = None

    def _unreadable(self, hints: dict[Hint, None]) -> None:
        self.unreadable += 1
        hints[RESYNC] = None
